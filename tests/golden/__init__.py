"""Tiny models that every test can rebuild, and PyTorch's numbers for them."""
