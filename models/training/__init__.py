"""What is learned, checked and left."""
