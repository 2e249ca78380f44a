"""Causal convolutions along the length."""
