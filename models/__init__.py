"""Open language models by variant: where they come from, what computes them, what they cost."""
