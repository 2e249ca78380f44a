"""Perplexity done right: what was scored, how the text was cut, and in which units."""

from primer.runtime import import_hook

# Mesh-TensorFlow is imported by most modules here. An installed package has mended it from the
# start of the interpreter; a checkout on PYTHONPATH has not.
import_hook.install()
