"""Perplexity of whole splits: protocols, units, checkpoints of a run, scores of documents."""

from primer.runtime import import_hook

# Most modules here import Mesh-TensorFlow. An installed package has the hook from the start of the
# interpreter; a checkout on PYTHONPATH has not.
import_hook.install()
