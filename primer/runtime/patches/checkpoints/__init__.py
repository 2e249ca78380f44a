"""Patches of how TensorFlow, t5 and Mesh-TensorFlow find, name and load checkpoints."""
