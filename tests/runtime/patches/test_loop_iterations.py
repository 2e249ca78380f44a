"""Operations in the body of a loop know its iteration and run in every one."""

import mesh_tensorflow as mtf
import pytest
import tensorflow.compat.v1 as tf

from primer.runtime.patches import loop_iterations


class Note(mtf.Operation):
    """Adds the number of the iteration, from 1, to the total of its loop."""

    def __init__(self, x, totals):
        super().__init__([x], name="note")
        self._totals = totals
        self._outputs = [mtf.Tensor(self, x.shape, x.dtype)]

    def lower(self, lowering):
        bodies = loop_iterations.open_bodies(lowering)
        total = self._totals[len(bodies) - 1]
        addition = tf.assign_add(total, tf.cast(bodies[-1].iteration, tf.float32) + 1)
        bodies[-1].side_effects.append(addition.op)
        lowering.set_tensor_lowering(self.outputs[0], lowering.tensors[self.inputs[0]])


def count(mesh, goal, body):
    """Counts to `goal` in the first of two variables."""
    zero = mtf.import_tf_tensor(mesh, tf.constant(0), mtf.Shape([]))
    return mtf.while_loop(lambda number, _: mtf.less(number, goal), body, [zero, zero])


@pytest.fixture
def totals():
    with tf.Graph().as_default():
        yield [
            tf.get_variable(name, [], initializer=tf.zeros_initializer(), use_resource=True)
            for name in ("outer", "inner")
        ]


def test_side_effects_run_in_every_iteration_of_their_own_loop(totals):
    graph = mtf.Graph()
    mesh = mtf.Mesh(graph, "mesh")

    def inner(number, other):
        Note(number, totals)
        return [number + 1, other]

    def outer(number, other):
        Note(number, totals)
        return [number + 1, other + count(mesh, 2, inner)[0]]

    result = count(mesh, 3, outer)[1]
    impl = mtf.placement_mesh_impl.PlacementMeshImpl(mtf.Shape([]), mtf.LayoutRules([]), [""])
    lowering = mtf.Lowering(graph, {mesh: impl})
    value = lowering.export_to_tf_tensor(result)
    assert loop_iterations.open_bodies(lowering) == []
    with tf.Session() as sess:
        sess.run(tf.global_variables_initializer())
        assert sess.run(value) == 6
        # Iterations count from 0: 1 + 2 + 3, and 1 + 2 in each of three.
        assert sess.run(totals) == [6, 9]
