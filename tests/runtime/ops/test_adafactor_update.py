"""Adafactor's update in few passes equals Mesh-TF's own, which a TPU keeps, over three steps."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.common import build_mode
from tests.layers import helpers

DRAWN = np.random.default_rng(0)
STEPS = 3
# Of rows, columns and, stacked in front, experts.
SHAPES = {
    "matrix": [("d", 128), ("e", 192)],
    "stack": [("experts", 2), ("d", 160), ("e", 128)],
    "vector": [("d", 128)],
}
GRADIENTS = {
    name: DRAWN.normal(size=[STEPS, *(size for _, size in dims)]).astype(np.float32)
    for name, dims in SHAPES.items()
}
SETTINGS = [
    {},
    {"beta1": 0.9},
    {"clipping_threshold": None},
    {"clipping_threshold": 0.1},
    {"multiply_by_parameter_scale": False},
    {"exclude_from_parameter_scale": ["matrix"]},
    {"stacked_dim_names": ["experts"]},
]


def trained(settings, mesh_shape="", layout="", tpu=False):
    """Returns {name: value} of the variables, slots included, after some steps."""
    with helpers.bench(mesh_shape, layout) as b, build_mode.building("train", for_tpu=tpu):
        optimizer = mtf.optimize.AdafactorOptimizer(learning_rate=0.01, decay_rate=0.8, **settings)
        feeds, updates = {}, []
        for name, dims in SHAPES.items():
            shape = mtf.Shape([mtf.Dimension(*dim) for dim in dims])
            variable = mtf.get_variable(
                b.mesh, name, shape, initializer=tf.random_normal_initializer(seed=1)
            )
            feeds[name] = tf.placeholder(tf.float32, shape.to_integer_list)
            gradient = mtf.import_tf_tensor(b.mesh, feeds[name], shape)
            updates += optimizer.apply_grad(gradient, variable.operation)
        lowering = b.lower()
        step = [lowering.lowered_operation(update) for update in updates]
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(lowering.copy_masters_to_slices())
            for index in range(STEPS):
                session.run(step, {feeds[n]: values[index] for n, values in GRADIENTS.items()})
            session.run(lowering.copy_slices_to_masters())
            return {
                v.op.name: session.run(v) for v in tf.global_variables() if "slice" not in v.name
            }


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_weights_and_slots_equal_mesh_tensorflows(settings):
    expected, found = trained(settings, tpu=True), trained(settings)
    assert set(found) == set(expected)
    assert {"matrix_slot_vr", "stack_slot_vc", "vector_slot_v"} <= set(found)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("layout", ["d:a", "e:a,d:b", "experts:a,e:b"])
def test_a_mesh(layout):
    expected, found = trained({}, tpu=True), trained({}, "a:2,b:2", layout)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-6, atol=1e-7, err_msg=name)
