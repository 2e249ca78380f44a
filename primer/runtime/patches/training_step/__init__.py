"""Patches of how Mesh-TensorFlow's model function builds a step of training."""
