"""Scorers of tiny models with memory, and texts for them."""

import gin
import numpy as np

from primer.evaluation.memory import reach
from primer.evaluation.scorer import Scorer
from primer.evaluation.tokenized_split import from_documents
from tests.evaluation import tiny

LENGTH = 8


def configure(architecture="primer", *bindings):
    tiny.configure(architecture, "relu" if architecture == "transformer" else "squared_relu")
    gin.parse_config(["num_heads = 2", "d_kv = 8", *bindings])


def scorer(rows=3, length=LENGTH, seed=0, **settings):
    """A scorer of the configured model with random weights."""
    made = Scorer(tiny.model(), length, rows, **settings)
    tiny.randomize(made, 0.4, seed)
    return made


def text(*lengths, seed=0):
    """Documents of random tokens; lengths count their end tokens."""
    generator = np.random.default_rng(seed)
    ids = [generator.integers(3, tiny.VOCABULARY, length - 1) for length in lengths]
    return from_documents([("x" * len(own), own) for own in ids], 1)


def reach_of_model():
    """The memory of the configured model, or None."""
    return reach.of_model(tiny.model())
