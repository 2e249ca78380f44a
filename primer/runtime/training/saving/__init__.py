"""Saving during training: the model's values, the position of its input, and when they are due."""
