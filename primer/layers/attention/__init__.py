"""Attention layers, and the parts that they share."""
