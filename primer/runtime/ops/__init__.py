"""Fused operations that replace Mesh-TensorFlow's."""
