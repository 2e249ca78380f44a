"""The order inside a train operation: the global step increases after everything else.

Mesh-TF groups the increment of the global step with the optimizer's updates. TensorFlow may run it
first, so that the learning rate and the random draws of a step see the number of the next step.
"""

import tensorflow.compat.v1 as tf


def increment_step_last(train_op: tf.Operation) -> None:
    """Makes the increment of the global step depend on all other parts of a train operation."""
    parts = _parts(train_op)
    increments = [part for part in parts if _changes_the_step(part)]
    others = [part for part in parts if part not in increments]
    for increment in increments:
        increment._add_control_inputs(others)


def _parts(group):
    """Returns the operations of a tf.group, which is nested where they are on several devices."""
    if group.type != "NoOp":
        return [group]
    return [part for inner in group.control_inputs for part in _parts(inner)]


def _changes_the_step(operation):
    step = tf.train.get_global_step()
    return operation.type.startswith("Assign") and operation.inputs[0].op is step.op
