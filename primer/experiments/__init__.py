"""Experiments over several models: what is compared, curves, tables and plots."""
