"""The Workshop tab: weights in and out, for who runs the server."""
