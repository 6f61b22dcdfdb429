"""What of training touches torch."""
