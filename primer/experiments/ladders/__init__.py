"""Ladders: one change of a model at several sizes, whose other settings follow from the size."""
