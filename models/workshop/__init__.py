"""Weights in and out: listed, fetched from Meta, converted, saved, published, and what of them lies on this disk."""
