"""Fits of losses, and intervals of what they say: numbers in, numbers out."""
