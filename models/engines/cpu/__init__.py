"""Kernels and caches for a CPU."""
