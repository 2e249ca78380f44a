"""With base_width the best learning rate of a narrow model is that of one four times as wide."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import t5_imports  # noqa: F401  Registers what gin files name.
from primer.common import build_mode, random_seed
from primer.gin_config import config_files
from primer.planning import run_graph
from primer.planning.coordinates import activations, widths
from primer.runtime import session
from primer.runtime.patches import resource_variables
from tests import gin_models

RATES = [2.0**-power for power in (10, 8, 6, 4, 2)]
STEPS, VOCABULARY = 60, 64


def batches():
    """Yields rows in which each token has four possible followers, more or less often."""
    random = np.random.default_rng(0)
    followers = random.integers(2, VOCABULARY, [VOCABULARY, 4])
    for _ in range(STEPS):
        rows = [random.integers(2, VOCABULARY, [activations.ROWS])]
        for _ in range(activations.LENGTH - 1):
            choice = random.choice(4, [activations.ROWS], p=[0.7, 0.1, 0.1, 0.1])
            rows.append(followers[rows[-1], choice])
        yield np.stack(rows, 1)


def loss_after_training(width, rate, *params):
    """The mean loss of the last ten steps."""
    files = [*config_files.composition_files("transformer", "relu", "tiny"), "optimizers/adamw.gin"]
    gin_models.parse(files)
    sizes = widths.bindings_at(width)
    gin_models.parse(files, [*activations.SETTINGS, f"learning_rate = {rate}", *sizes, *params])
    arguments = run_graph.estimator_arguments(run_graph.SizedVocabulary(VOCABULARY), "train")
    with tf.Graph().as_default():
        resource_variables.use_resources()
        random_seed.set_step_key(tf.train.get_or_create_global_step())
        tokens = tf.placeholder(tf.int32, [activations.ROWS, activations.LENGTH])
        with activations.lowering_kept() as lowerings, build_mode.building("train"):
            features = activations.features_of(tokens)
            spec = arguments["model_fn"](
                features, None, "train", {"batch_size": activations.ROWS}, None
            )
        with tf.Session(config=session.default_config()) as sess:
            sess.run(tf.global_variables_initializer())
            sess.run(lowerings[0].copy_masters_to_slices())
            losses = [sess.run([spec.loss, spec.train_op], {tokens: b})[0] for b in batches()]
    return np.mean(losses[-10:])


def best(width, *params):
    losses = [loss_after_training(width, rate, *params) for rate in RATES]
    print(width, params, np.round(losses, 3))
    return int(np.argmin(losses))


@pytest.mark.slow
def test_the_best_rate_of_a_narrow_model_is_that_of_a_wide_one():
    narrow, wide = best(32, "base_width = 32"), best(256, "base_width = 32")
    assert 0 < narrow < len(RATES) - 1  # Not at the edge.
    assert narrow == wide
    assert best(256) < wide
