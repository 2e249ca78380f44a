"""Sweeps: a YAML file of axes, its runs in a directory each, their training on one machine."""
