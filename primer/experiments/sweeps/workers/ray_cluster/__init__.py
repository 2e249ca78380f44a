"""The workers of a sweep on a Ray cluster."""
