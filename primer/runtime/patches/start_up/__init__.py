"""Patches without effect on results: work of imports and of graph building that is left out."""
