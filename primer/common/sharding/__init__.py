"""Layouts that split weights and activations over different axes of a mesh."""
