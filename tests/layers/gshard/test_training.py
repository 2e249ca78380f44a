"""Four steps of Lingvo's optimizers on our GShard model: its losses and its weights.

Everything here is ours: the graph of training, its gradients, and the optimizer of the preset.
Weights are compared to 3e-4 of what each has moved, in the L2 norm: Lingvo's gradients are float32,
and both optimizers divide a gradient by its own size (tests/optimizers/test_lingvo_parity.py).
"""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.gin_config import config_files
from primer.runtime.patches import resource_variables
from tests import gin_models, slow
from tests.layers import helpers
from tests.layers.gshard import golden
from tests.optimizers import preset
from tests.optimizers.test_lingvo_parity import RUNS


def trained(found, run):
    """Returns the losses before each step, and the weights after the first and the last one."""
    name, bindings = RUNS[run]
    settings = found.settings
    files = [*settings.files, config_files.gin_file("optimizers", name)]
    model = gin_models.build(files, (*settings.bindings, *bindings), settings.vocabulary_size)
    with helpers.bench(variables=found.variables) as b:
        resource_variables.use_resources()
        tf.train.get_or_create_global_step()
        rate = tf.placeholder(tf.float32, [])
        _, loss, _ = golden.loss(model, b, found.batch("packed"), "train")
        weights = b.graph.trainable_variables
        gradients = mtf.gradients([loss], [v.value for v in weights])
        names = [v.name for v in weights]
        updates = preset.configured()(learning_rate=rate).apply_grads(gradients, weights)
        lowering = b.lower()
        value = lowering.export_to_tf_tensor(loss)
        return _run(found, run, rate, value, lowering, updates, names)


def _run(found, run, rate, loss, lowering, updates, names):
    update = tf.group(*(lowering.lowered_operation(operation) for operation in updates))
    with tf.control_dependencies([update]):
        step = tf.assign_add(tf.train.get_global_step(), 1)
    to_masters = lowering.copy_slices_to_masters()
    masters = {v.op.name: v for v in tf.global_variables() if v.op.name in names}
    losses, states = [], []
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for name, master in masters.items():
            master.load(found.variables[name], session)
        session.run(lowering.copy_masters_to_slices())
        for learning_rate in found.arrays[f"train/{run}/lr"]:
            losses.append(session.run(loss))
            session.run(step, {rate: learning_rate})
            session.run(to_masters)
            states.append(session.run(masters))
    return losses, states


@pytest.mark.parametrize("run", slow.all_but(["adafactor"], RUNS))
def test_four_steps(run):
    found = golden.read("dense128")
    losses, states = trained(found, run)
    np.testing.assert_allclose(losses, found.arrays[f"train/{run}/losses"], rtol=1e-5)
    compared = 0
    for step, state in enumerate(states, 1):
        # A file may lack all but the last step.
        for name, value in found.by_prefix(f"train/{run}/after{step}/").items():
            moved = np.linalg.norm(value - found.variables[name])
            assert moved > 0
            assert np.linalg.norm(state[name] - value) < 3e-4 * moved, (name, step)
            compared += 1
    assert compared >= len(found.variables)
