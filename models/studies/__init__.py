"""What several variants cost and are worth: plain functions that take a Runtime."""
