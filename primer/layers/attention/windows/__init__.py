"""Attention within a window: blocks for training, a rolling cache for decoding."""
