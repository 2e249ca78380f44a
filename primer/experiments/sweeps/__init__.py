"""Sweeps: a YAML file of axes, its runs with a directory each, and their training on one machine."""
