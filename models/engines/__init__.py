"""What computes. The heavy libraries are imported inside functions, never when a module is read."""
