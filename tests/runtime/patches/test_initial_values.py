"""Initial values are functions of seed and name; graphs whose weights are restored have zeros."""

import gin
import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from primer.runtime.patches import initial_values
from tests.runtime.patches.mesh_runs import run_at_step


def variable(mesh, name, trainable=True):
    shape = mtf.Shape([mtf.Dimension("d", 5)])
    # Mesh-TF's relative biases have no initializer of their own.
    drawn = None if name.startswith("default") else tf.random_normal_initializer()
    return mtf.get_variable(mesh, name, shape, initializer=drawn, trainable=trainable)


@gin.configurable(module="test_initial_values")
def uniform_above_one(name, initializer, shape):
    """Replaces the initializers of all variables but the one of this name."""
    return initializer if name == "own" else tf.random_uniform_initializer(1.0, 2.0)


def initial_value(name, seed=0, before=0):
    def build(mesh):
        for number in range(before):
            mtf.get_variable(mesh, f"other_{number}", mtf.Shape([mtf.Dimension("d", 2)]))
        return variable(mesh, name)

    return run_at_step(build, seed=seed)


def check_seed_and_name_alone_decide(name):
    value = initial_value(name)
    np.testing.assert_array_equal(value, initial_value(name, before=2))
    assert not np.array_equal(value, initial_value(f"{name}_2"))
    assert not np.array_equal(value, initial_value(name, seed=1))


def test_initial_values_depend_on_seed_and_name_alone():
    check_seed_and_name_alone_decide("w")


def test_those_of_tensorflows_default_initializer_too():
    check_seed_and_name_alone_decide("default")


def test_a_graph_with_restored_weights_draws_no_initial_values():
    def build(mesh):
        with initial_values.weights_restored():
            zeros = variable(mesh, "zeros")
        return mtf.stack([zeros, variable(mesh, "drawn")], "two")

    zeros, drawn = run_at_step(build)
    assert not zeros.any() and drawn.all()


def test_a_function_of_the_name_replaces_the_initializers_of_weights():
    def build(mesh):
        with initial_values.weights_restored():
            restored = variable(mesh, "restored")
        names = ("weight", "other", "own")
        weights = [variable(mesh, name) for name in names]
        return mtf.stack([restored, *weights, variable(mesh, "slot", trainable=False)], "all")

    before = run_at_step(build)
    gin.parse_config("initial_values.initializer = @uniform_above_one")
    restored, weight, other, own, slot = run_at_step(build)
    assert not restored.any()
    assert (weight > 1).all() and (other > 1).all() and (weight != other).all()
    np.testing.assert_array_equal([own, slot], before[3:])
    np.testing.assert_array_equal(run_at_step(build)[1], weight)
    assert (run_at_step(build, seed=1)[1] != weight).all()
