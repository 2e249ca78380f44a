"""How the variables of training get their values: initial ones, another model's, a checkpoint's.

On a mesh of several devices the slices get them, and the masters have none.
"""

from collections.abc import Callable
from typing import Any

import tensorflow.compat.v1 as tf

from primer.checkpoints import restoring, variable_slices
from primer.common import class_names, console
from primer.common.recurrence import carried_state
from primer.runtime.training import carried_rows, initial_weights
from primer.runtime.training.starting import plan


def resuming(latest: str, optimizer: Any) -> tf.train.Scaffold:
    """Returns a Scaffold that restores a checkpoint of the run.

    Args:
        latest: the path of the checkpoint.
        optimizer: the optimizer of the run, for a message.

    Raises:
        UsageError: the checkpoint has the memory of other columns.
        RunError: it cannot be read.
    """
    # A checkpoint of the original may lack variables that only training adds, such as the
    # slots of another optimizer.
    restore = restoring.Restore(tf.global_variables(), optional=tf.global_variables())
    missing = restore.missing(latest)
    carried_rows.check_columns(latest, missing)
    memory = [v.op.name for v in carried_state.graph_variables()]
    if set(memory) & set(missing):
        console.say(f"{latest} has no memory: the first rows begin with an empty one.")
    missing = [name for name in missing if name not in memory]
    if missing:
        console.say(
            f"{len(missing)} variables of the optimizer {class_names.source_name(optimizer)} are "
            f"not in {latest} and start at their initial values: {initial_weights.listed(missing)}"
        )

    def init_fn(scaffold, sess):
        del scaffold
        restore(sess, latest)

    return tf.train.Scaffold(init_op=tf.no_op(), init_fn=init_fn, **_ready_operations())


def starting(chosen: plan.Plan, description: dict[str, Any]) -> tf.train.Scaffold:
    """Returns a Scaffold that loads the weights of another model.

    Args:
        chosen: which weights, and from where.
        description: the model that is to be trained (`model_description.describe`).
    """
    weights = initial_weights.InitialWeights(chosen)
    initial_weights.say_differences(chosen.path, description)
    return initializing(weights.load)


def initializing(load: Callable[[tf.Session], None] | None = None) -> tf.train.Scaffold:
    """Returns a Scaffold that gives all variables their initial values.

    Args:
        load: loads other values after that.
    """
    slices = variable_slices.SliceInitializer()

    def init_fn(scaffold, sess):
        del scaffold
        slices(sess)
        if load:
            load(sess)

    ready = _ready_operations()
    if ready:
        unsliced = variable_slices.unsliced(tf.global_variables())
        ready["init_op"] = tf.variables_initializer(unsliced)
    return tf.train.Scaffold(init_fn=init_fn, **ready)


def _ready_operations() -> dict[str, Any]:
    """Returns the operations of a Scaffold where masters have no values; {} where they have."""
    if not variable_slices.of_graph():
        return {}
    unsliced = variable_slices.unsliced(tf.global_variables())
    return {
        "ready_op": tf.report_uninitialized_variables([*unsliced, *tf.local_variables()]),
        "ready_for_local_init_op": tf.report_uninitialized_variables(unsliced),
    }
