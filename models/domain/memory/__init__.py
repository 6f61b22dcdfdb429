"""What a variant takes in memory."""
