"""Perplexity done right: what was scored, how the text was cut, and in which units."""
