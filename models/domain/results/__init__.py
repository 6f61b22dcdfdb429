"""What was measured, compared and suggested, as data."""
