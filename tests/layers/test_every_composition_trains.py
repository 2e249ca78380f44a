"""Every architecture trains with every activation: three steps lower the evaluated loss."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow import optimize
from mesh_tensorflow.transformer import transformer

from primer.gin_config import config_files
from tests import gin_models
from tests.layers import helpers
from tests.layers.test_every_composition import small

COMPOSITIONS = gin_models.run_compositions()
NAMES = [gin_models.name_of(composition) for composition in COMPOSITIONS]
ACTIVATIONS = config_files.names_of_kind("activations")
TARGETS = np.random.default_rng(0).integers(2, 97, [4, 16])


def losses(model, steps):
    """Returns the evaluated loss before and after `steps` steps of training on one batch."""
    with helpers.bench() as b, tf.variable_scope("", reuse=tf.AUTO_REUSE):
        ids = b.put(TARGETS.astype(np.int32), "batch", "length")
        segments = mtf.ones(b.mesh, ids.shape, tf.int32)

        def loss(mode):
            return model.call_simple(
                inputs=transformer.autoregressive_inputs(ids, segments),
                targets=ids,
                compute_loss=True,
                mode=mode,
                variable_dtype=mtf.VariableDType(tf.float32),
                sequence_id=segments,
            )[1]

        trained, evaluated = loss("train"), loss("eval")
        variables = b.graph.trainable_variables
        gradients = mtf.gradients([trained], [v.value for v in variables])
        assert all(gradient is not None for gradient in gradients)
        updates = optimize.AdafactorOptimizer(0.02).apply_grads(gradients, variables)
        # The value before the step.
        evaluated = mtf.anonymize(evaluated)
        lowering = b.lower()
        value = lowering.export_to_tf_tensor(evaluated)
        update = tf.group(*(lowering.lowered_operation(op) for op in updates))
        with tf.Session() as session:
            helpers.initialize(session, None)
            session.run(lowering.copy_masters_to_slices())
            before = session.run(value)
            for _ in range(steps):
                session.run(update)
            return before, session.run(value)


def check(composition, activation, bindings):
    architecture, overlay = composition
    files = gin_models.files(architecture, activation, overlay)
    before, after = losses(gin_models.build(files, bindings), steps=3)
    assert np.isfinite(before) and after < before


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(COMPOSITIONS)), ids=NAMES.__getitem__)
def test_every_composition_trains_and_evaluates(number):
    """Compositions alternate the activations; tests/gin/test_composition.py builds every pair."""
    composition, activation = COMPOSITIONS[number], ACTIVATIONS[number % len(ACTIVATIONS)]
    check(composition, activation, small(*composition))


# tests/test_recorded_runs.py trains every architecture in the quick tests.
@pytest.mark.slow
@pytest.mark.parametrize("composition", COMPOSITIONS[1::9], ids=gin_models.name_of)
def test_unchanged_compositions_train_and_evaluate(composition):
    """At the tiny size, with all layers and with random routing."""
    check(composition, "swiglu", ())
