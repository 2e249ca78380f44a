"""Runs t5 0.9.4 and mesh-tensorflow 0.1.21 on current TensorFlow."""
