"""Experiments over several models: the demonstration that the README shows."""
