"""What the workshop does with torch."""
