"""Patches of Mesh-TensorFlow and t5, one fault for each module."""
