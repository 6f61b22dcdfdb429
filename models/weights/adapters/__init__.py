"""Where adapters come from, and what they must hold."""
