"""Random draws are functions of seed, name, step, iteration and slice; reads precede writes."""

import gin
import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from primer.runtime.patches import random_seeds, resource_variables


def draw(step, seed=0, mesh_shape="", rules="", make=None):
    """Builds `make(mesh)` on a mesh and runs it once at a step; returns the value."""
    with gin.unlock_config():
        gin.bind_parameter("run_seed.seed", seed)
    with tf.Graph().as_default():
        resource_variables.use_resources()
        key = tf.placeholder(tf.int64, [])
        random_seeds.set_step_key(key)
        graph = mtf.Graph()
        mesh = mtf.Mesh(graph, "mesh")
        shape = mtf.convert_to_shape(mesh_shape)
        impl = mtf.placement_mesh_impl.PlacementMeshImpl(
            shape, mtf.convert_to_layout_rules(rules), [""] * shape.size
        )
        out = make(mesh)
        lowering = mtf.Lowering(graph, {mesh: impl})
        value = lowering.export_to_tf_tensor(out)
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            sess.run(lowering.copy_masters_to_slices())
            return sess.run(value, {key: step})


def uniform(mesh, dtype=tf.float32):
    return mtf.random_uniform(mesh, mtf.Shape([mtf.Dimension("batch", 8)]), dtype=dtype)


def test_the_same_step_draws_the_same_and_another_draws_anew():
    first = draw(3, make=uniform)
    np.testing.assert_array_equal(first, draw(3, make=uniform))
    assert not np.array_equal(first, draw(4, make=uniform))
    assert not np.array_equal(first, draw(3, seed=1, make=uniform))


def test_two_operations_of_a_graph_differ():
    both = draw(0, make=lambda mesh: mtf.stack([uniform(mesh), uniform(mesh)], "two"))
    assert not np.array_equal(both[0], both[1])


def test_slices_differ_where_split_and_agree_where_replicated():
    split = draw(0, mesh_shape="all:2", rules="batch:all", make=uniform)
    assert not np.array_equal(split[:4], split[4:])

    # A replicated draw is exported from one processor; the sum over a split one shows both.
    def product(mesh):
        rows = mtf.Dimension("rows", 2)
        noise = uniform(mesh)
        return mtf.add(
            noise, mtf.zeros(mesh, mtf.Shape([rows])), output_shape=[rows] + noise.shape.dims
        )

    rows = draw(0, mesh_shape="all:2", rules="rows:all", make=product)
    np.testing.assert_array_equal(rows[0], rows[1])


def test_bfloat16_draws():
    assert draw(0, make=lambda mesh: mtf.cast(uniform(mesh, tf.bfloat16), tf.float32)).shape == (8,)


def test_iterations_of_a_loop_draw_differently():
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

    first, second = draw(0, make=loop)
    assert not np.array_equal(first, second)


def initial_value(name, seed=0, before=0):
    def make(mesh):
        for number in range(before):
            mtf.get_variable(mesh, f"other_{number}", mtf.Shape([mtf.Dimension("d", 2)]))
        return mtf.get_variable(
            mesh,
            name,
            mtf.Shape([mtf.Dimension("d", 5)]),
            initializer=tf.random_normal_initializer(),
        )

    return draw(0, seed=seed, make=make)


def test_initial_values_follow_from_seed_and_name_alone():
    value = initial_value("w")
    np.testing.assert_array_equal(value, initial_value("w", before=2))
    assert not np.array_equal(value, initial_value("v"))
    assert not np.array_equal(value, initial_value("w", seed=1))


def test_weights_that_will_be_restored_are_not_drawn():
    assert initial_value("w").any()
    with random_seeds.weights_restored():
        assert not initial_value("w").any()
    assert initial_value("w").any()


def test_a_step_reads_a_weight_before_it_changes_it():
    """The optimizer's write may not reach a product that is still to come."""
    for _ in range(5):
        with tf.Graph().as_default():
            resource_variables.use_resources()
            graph = mtf.Graph()
            mesh = mtf.Mesh(graph, "mesh")
            dim = mtf.Dimension("d", 4)
            weight = mtf.get_variable(
                mesh,
                "w",
                mtf.Shape([dim]),
                initializer=tf.ones_initializer(),
                dtype=mtf.VariableDType(tf.float32, tf.float32, tf.float32),
            )
            update = mtf.assign(weight, weight * 2)
            impl = mtf.placement_mesh_impl.PlacementMeshImpl(
                mtf.Shape([]), mtf.LayoutRules([]), [""]
            )
            lowering = mtf.Lowering(graph, {mesh: impl})
            write = lowering.lowered_operation(update)
            with tf.control_dependencies([write]):
                late = tf.identity(lowering.export_to_tf_tensor(weight))
            with tf.Session() as sess:
                sess.run(tf.global_variables_initializer())
                np.testing.assert_array_equal(sess.run(late), np.ones(4))


def test_the_step_increases_last():
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        update = tf.assign_add(tf.get_variable("w", []), 1.0)
        group = tf.group([update, tf.assign_add(step, 1)])
        random_seeds.increment_step_last(group)
        (increment,) = [op for op in group.control_inputs if op.inputs[0].op is step.op]
        assert update.op in increment.control_inputs
