"""Random draws are functions of seed, operation, step, loop iteration and slice."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from tests.runtime.patches.mesh_runs import run_at_step


def uniform(mesh, dtype=tf.float32):
    return mtf.random_uniform(mesh, mtf.Shape([mtf.Dimension("batch", 8)]), dtype=dtype)


def test_draws_depend_on_step_and_seed_alone():
    first = run_at_step(uniform, 3)
    np.testing.assert_array_equal(first, run_at_step(uniform, 3))
    assert not np.array_equal(first, run_at_step(uniform, 4))
    assert not np.array_equal(first, run_at_step(uniform, 3, seed=1))


def test_two_operations_of_a_graph_draw_different_numbers():
    both = run_at_step(lambda mesh: mtf.stack([uniform(mesh), uniform(mesh)], "two"))
    assert not np.array_equal(both[0], both[1])


def test_split_slices_differ_and_replicated_slices_agree():
    split = run_at_step(uniform, mesh_shape="all:2", rules="batch:all")
    assert not np.array_equal(split[:4], split[4:])

    # A replicated draw is exported from one processor; the sum over a split one shows both.
    def product(mesh):
        rows = mtf.Dimension("rows", 2)
        noise = uniform(mesh)
        return mtf.add(
            noise, mtf.zeros(mesh, mtf.Shape([rows])), output_shape=[rows] + noise.shape.dims
        )

    rows = run_at_step(product, mesh_shape="all:2", rules="rows:all")
    np.testing.assert_array_equal(rows[0], rows[1])


def test_bfloat16_numbers_are_drawn():
    assert run_at_step(lambda mesh: mtf.cast(uniform(mesh, tf.bfloat16), tf.float32)).shape == (8,)


def test_iterations_of_a_loop_draw_different_numbers():
    def loop(mesh):
        dim = mtf.Dimension("batch", 8)
        zero = mtf.import_tf_tensor(mesh, tf.constant(0), mtf.Shape([]))
        empty = mtf.zeros(mesh, mtf.Shape([dim]))

        def body(number, first, second):
            noise = uniform(mesh)
            is_first = mtf.cast(mtf.equal(number, 0), tf.float32)
            return [number + 1, first + noise * is_first, second + noise * (1 - is_first)]

        _, first, second = mtf.while_loop(
            lambda number, *_: mtf.less(number, 2), body, [zero, empty, empty]
        )
        return mtf.stack([first, second], "two")

    first, second = run_at_step(loop)
    assert not np.array_equal(first, second)
