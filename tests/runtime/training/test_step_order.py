"""The order inside a train operation."""

import tensorflow.compat.v1 as tf

from primer.runtime.training import step_order


def test_the_step_increases_last():
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        update = tf.assign_add(tf.get_variable("w", []), 1.0)
        group = tf.group([update, tf.assign_add(step, 1)])
        step_order.increment_step_last(group)
        (increment,) = [op for op in group.control_inputs if op.inputs[0].op is step.op]
        assert update.op in increment.control_inputs
