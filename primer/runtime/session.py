"""Sessions: their configuration, and one whose variables come from a checkpoint."""

import contextlib
import itertools
import os

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from primer.checkpoints import checkpoint_files
from primer.runtime import cluster

_writers = itertools.count()


def config(estimator):
    """The session configuration of the run, else `default_config`."""
    return estimator.config.session_config or default_config()


def default_config():
    """The configuration of a session that computes a model.

    On CPUs TensorFlow's graph optimizer is off: it takes one to two seconds of every graph, and
    the steps of what it made of small and tiny models took the same time within the noise. What is
    constant is not computed beforehand: TensorFlow keeps all of it at once for that, the positions
    of every pair of tokens once for each layer, which were 300 MB of a small model's evaluation.
    """
    rewrite = rewriter_config_pb2.RewriterConfig(
        meta_optimizer_iterations=rewriter_config_pb2.RewriterConfig.ONE,
        disable_meta_optimizer=not tf.config.list_physical_devices("GPU"),
    )
    at_start = tf.OptimizerOptions(
        opt_level=tf.OptimizerOptions.L0, do_common_subexpression_elimination=True
    )
    graph = tf.GraphOptions(rewrite_options=rewrite, optimizer_options=at_start)
    return tf.ConfigProto(allow_soft_placement=True, graph_options=graph)


def master() -> str:
    """The TensorFlow server that training's session talks to: this process, or the cluster's."""
    hosts = cluster.from_environment()
    return tf.compat.as_str(cluster.server(hosts).target) if hosts else ""


def on_chief():
    """A device scope: what no mesh device is named for lives on the chief."""
    hosts = cluster.from_environment()
    if not hosts:
        return contextlib.nullcontext()
    job, index, _ = hosts.tasks[0]
    return tf.device(f"/job:{job}/task:{index}")


def event_writer(directory):
    """A writer of TensorBoard events that outlives no graph.

    TensorFlow names a file after the second and the machine, and a second writer of that second
    would empty the file of the first.
    """
    with tf.Graph().as_default():
        suffix = f".{os.getpid()}.{next(_writers)}"
        return tf.summary.FileWriter(directory, filename_suffix=suffix)


@contextlib.contextmanager
def restored(estimator, checkpoint_path, hooks=(), scaffold=None):
    """A session in the default graph with the checkpoint's values, after the hooks' own steps.

    `hooks` are Mesh-TF's, of which `begin` and `after_create_session` matter: they copy the
    checkpointed variables to the slices on the mesh.
    """
    for hook in hooks:
        hook.begin()
    restore = checkpoint_files.Restore(tf.global_variables())
    prepare = [tf.local_variables_initializer(), tf.tables_initializer()]
    if scaffold is not None and scaffold.local_init_op is not None:
        prepare.append(scaffold.local_init_op)
    tf.get_default_graph().finalize()
    with tf.Session(config=config(estimator)) as sess:
        restore(sess, checkpoint_path)
        for step in prepare:
            sess.run(step)
        for hook in hooks:
            hook.after_create_session(sess, None)
        yield sess


@contextlib.contextmanager
def unfinalized(estimator, checkpoint_path):
    """A session with the checkpoint's values in a graph that may still grow (for an export)."""
    restore = checkpoint_files.Restore(tf.global_variables())
    with tf.Session(config=config(estimator)) as sess:
        restore(sess, checkpoint_path)
        yield sess
