"""Initial values are functions of seed and name; graphs whose weights are restored have zeros."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from primer.runtime.patches import initial_values
from tests.runtime.patches.mesh_runs import run_at_step


def variable(mesh, name):
    shape = mtf.Shape([mtf.Dimension("d", 5)])
    return mtf.get_variable(mesh, name, shape, initializer=tf.random_normal_initializer())


def initial_value(name, seed=0, before=0):
    def build(mesh):
        for number in range(before):
            mtf.get_variable(mesh, f"other_{number}", mtf.Shape([mtf.Dimension("d", 2)]))
        return variable(mesh, name)

    return run_at_step(build, seed=seed)


def test_initial_values_depend_on_seed_and_name_alone():
    value = initial_value("w")
    np.testing.assert_array_equal(value, initial_value("w", before=2))
    assert not np.array_equal(value, initial_value("v"))
    assert not np.array_equal(value, initial_value("w", seed=1))


def test_a_graph_with_restored_weights_draws_no_initial_values():
    def build(mesh):
        with initial_values.weights_restored():
            zeros = variable(mesh, "zeros")
        return mtf.stack([zeros, variable(mesh, "drawn")], "two")

    zeros, drawn = run_at_step(build)
    assert not zeros.any() and drawn.all()
