"""Experiments over several models: the models compared, their runs, curves and tables."""
