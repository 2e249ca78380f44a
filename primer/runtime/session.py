"""TensorFlow sessions: their configuration, and sessions restored from a checkpoint."""

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from primer.checkpoints import restoring, variable_slices
from primer.runtime import cluster

# Numbers this process's event writers: TensorFlow names an event file after the second and the
# machine, so that a second writer of one second would truncate the file of the first.
_writer_numbers = itertools.count()
# Mesh-TF's hook that copies the masters of variables to their slices on the mesh.
RESTORE_HOOK = "MtfRestoreHook"


def estimator_config(estimator: Any) -> tf.ConfigProto:
    """Returns the session configuration of an estimator's RunConfig, else `default_config`."""
    return estimator.config.session_config or default_config()


def default_config() -> tf.ConfigProto:
    """Returns the configuration of a session that computes a model.

    On CPUs TensorFlow's graph optimizer is off: it takes one to two seconds per graph, and did not
    change the step time of small and tiny models measurably. Constant folding is off: TensorFlow
    would hold all folded constants at once, such as the relative positions of every pair of tokens
    once per layer, which took 300 MB in the evaluation of a small model.
    """
    rewrite = rewriter_config_pb2.RewriterConfig(
        meta_optimizer_iterations=rewriter_config_pb2.RewriterConfig.ONE,
        disable_meta_optimizer=not tf.config.list_physical_devices("GPU"),
    )
    optimizer = tf.OptimizerOptions(
        opt_level=tf.OptimizerOptions.L0, do_common_subexpression_elimination=True
    )
    graph = tf.GraphOptions(rewrite_options=rewrite, optimizer_options=optimizer)
    return tf.ConfigProto(allow_soft_placement=True, graph_options=graph)


def with_cpus(config: tf.ConfigProto, number: int) -> tf.ConfigProto:
    """Returns a copy of a configuration with a number of CPU devices."""
    copy = tf.ConfigProto()
    copy.CopyFrom(config)
    copy.device_count["CPU"] = number
    return copy


def master(hosts: cluster.Cluster | None) -> str:
    """Returns the address of the server that runs training's session; "" is this process."""
    return tf.compat.as_str(cluster.server(hosts).target) if hosts else ""


def chief_device(hosts: cluster.Cluster | None) -> AbstractContextManager:
    """Returns a device scope that places on the chief what no mesh device is named for."""
    if not hosts:
        return contextlib.nullcontext()
    job, index, _ = hosts.tasks[0]
    return tf.device(f"/job:{job}/task:{index}")


def event_writer(directory: str) -> tf.summary.FileWriter:
    """Returns a writer of TensorBoard events that does not depend on the default graph."""
    with tf.Graph().as_default():
        suffix = f".{os.getpid()}.{next(_writer_numbers)}"
        return tf.summary.FileWriter(directory, filename_suffix=suffix)


def drop_events_from(writer: tf.summary.FileWriter, step: int) -> None:
    """Makes TensorBoard drop the events of a directory from a step on, which are written again.

    Args:
        writer: writes the new events; those before this call are dropped.
        step: the first step of the new events.
    """
    writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), step)


def without_copies(
    hooks: Sequence[tf.train.SessionRunHook],
) -> list[tf.train.SessionRunHook]:
    """Returns the hooks without Mesh-TF's that copies masters to slices, which are loaded here."""
    return [hook for hook in hooks if type(hook).__name__ != RESTORE_HOOK]


@contextlib.contextmanager
def restored(
    estimator: Any,
    checkpoint_path: str,
    hooks: Sequence[tf.train.SessionRunHook] = (),
    scaffold: tf.train.Scaffold | None = None,
) -> Iterator[tf.Session]:
    """Yields a session of the default graph, which it finalizes, with a checkpoint's values.

    Args:
        estimator: a LocalEstimator.
        checkpoint_path: the checkpoint.
        hooks: hooks of the session. Only their `begin` and `after_create_session` are called.
        scaffold: its `local_init_op`, if there is one, is run; not on a mesh of several devices,
            where Mesh-TF's copies masters, which have no values, to the slices.
    """
    hooks = without_copies(hooks)
    for hook in hooks:
        hook.begin()
    restore = restoring.Restore(tf.global_variables())
    initializers = [tf.local_variables_initializer(), tf.tables_initializer()]
    has_slices = bool(variable_slices.of_graph())
    if scaffold is not None and scaffold.local_init_op is not None and not has_slices:
        initializers.append(scaffold.local_init_op)
    tf.get_default_graph().finalize()
    with tf.Session(config=estimator_config(estimator)) as sess:
        restore(sess, checkpoint_path)
        for initializer in initializers:
            sess.run(initializer)
        for hook in hooks:
            hook.after_create_session(sess, None)
        yield sess


@contextlib.contextmanager
def restored_unfinalized(estimator: Any, checkpoint_path: str) -> Iterator[tf.Session]:
    """Yields a session with a checkpoint's values in a graph that an export may still extend.

    The values are in the masters: a SavedModel copies them to its slices when it is loaded.
    """
    restore = restoring.Restore(tf.global_variables(), whole=True)
    with tf.Session(config=estimator_config(estimator)) as sess:
        restore(sess, checkpoint_path)
        yield sess
