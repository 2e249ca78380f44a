"""Legal values of settings, for their owners and for the checks before TensorFlow's import."""
