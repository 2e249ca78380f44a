"""Perplexity done right: what was scored, how the text was cut, and in which units."""

from primer.runtime import import_hook

# Most modules here import Mesh-TensorFlow. An installed package has the hook that patches it from
# the start of the interpreter; a checkout on PYTHONPATH has not.
import_hook.install()
