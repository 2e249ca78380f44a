"""Helpers that several packages share: console, files, progress, properties of graphs."""
