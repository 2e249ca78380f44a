"""Patches of what Mesh-TensorFlow's Unitransformer is called with and divides its loss by."""
