"""The stored results of evaluated checkpoints, read without TensorFlow."""
