"""Transformers and torch, on the one engine thread of a process."""
