"""A Hugging Face Space with this app: its files, and how they get there."""
