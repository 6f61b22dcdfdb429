"""The Train tab: an adapter from rows of one's own, watched while it learns, for who runs the server."""
