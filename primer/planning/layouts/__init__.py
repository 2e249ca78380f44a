"""Meshes and layouts: how they are written, checked, and searched."""
