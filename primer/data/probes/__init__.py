"""Probes as tasks: synthetic examples of which only the answers are scored."""
