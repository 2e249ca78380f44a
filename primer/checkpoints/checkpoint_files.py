"""Reading checkpoints: which there are, whether they are whole, and their values in a session."""

import hashlib
import os
import re

import numpy as np
import tensorflow.compat.v1 as tf

from primer.errors import RunError, UsageError

GLOBAL_STEP = "global_step"


def step_of(path) -> int:
    """The step in a checkpoint's name (`.../model.ckpt-N`); 0 for None."""
    if not path:
        return 0
    match = re.search(r"model\.ckpt-(\d+)$", str(path))
    if not match:
        raise UsageError(f"checkpoint {path!r}: expected a path that ends in model.ckpt-<step>")
    return int(match.group(1))


def is_whole(path) -> bool:
    """Whether the index of the checkpoint can be read and all its data files are there."""
    try:
        tf.train.NewCheckpointReader(path).get_variable_to_dtype_map()
    except (tf.errors.OpError, ValueError):
        return False
    index_names = tf.io.gfile.glob(f"{path}.data-*-of-*")
    shards = {int(name.rsplit("-of-", 1)[1]) for name in index_names}
    return len(shards) == 1 and len(index_names) == shards.pop()


def has_index(path) -> bool:
    """Whether the checkpoint has an index."""
    return tf.io.gfile.exists(f"{path}.index")


def check_whole(path):
    """Raises RunError, which says why, where a checkpoint cannot be read."""
    if is_whole(path):
        return
    if not tf.io.gfile.glob(f"{path}.*"):
        raise RunError(f"the checkpoint {path} is not there any more")
    raise RunError(f"the checkpoint {path} is incomplete or damaged")


def fingerprint(path) -> str:
    """Equal for two checkpoints with the same names, shapes and values, wherever they lie.

    The index of a checkpoint has a checksum of every tensor's bytes, so that the data need not be
    read for it; their size shows whether they are still all there.

    Raises:
        RunError: there is no index, or it cannot be read.
    """
    try:
        with tf.io.gfile.GFile(f"{path}.index", "rb") as index:
            digest = hashlib.sha256(index.read())
        for name in sorted(tf.io.gfile.glob(f"{path}.data-*-of-*")):
            digest.update(str(tf.io.gfile.stat(name).length).encode())
    except tf.errors.OpError as error:
        raise RunError(_damaged(path, error)) from error
    return digest.hexdigest()[:16]


def latest_checkpoint(model_dir):
    """The path of the newest checkpoint, or None.

    That is the one that the file `checkpoint` names; where its files are gone, the newest of those
    that are whole.
    """
    named = tf.train.latest_checkpoint(model_dir)
    if named:
        return named
    whole = whole_steps(model_dir)
    return os.path.join(model_dir, f"model.ckpt-{whole[-1]}") if whole else None


def whole_steps(model_dir):
    """The steps of all whole checkpoints of a directory, in order."""
    found = []
    for name in tf.io.gfile.glob(f"{model_dir}/model.ckpt-*.index"):
        path = name[: -len(".index")]
        if is_whole(path):
            found.append(step_of(path))
    return sorted(found)


def list_checkpoints(directory) -> dict:
    """Step -> path of all checkpoints in a directory of which any file is left."""
    found = {}
    for name in tf.io.gfile.glob(os.path.join(directory, "model.ckpt-*")):
        match = re.search(r"model\.ckpt-(\d+)\.(index|data-\d+-of-\d+)$", name)
        if match:
            path = os.path.join(directory, f"model.ckpt-{match.group(1)}")
            found[int(match.group(1))] = path
    return found


def no_checkpoint_error(model_dir) -> UsageError:
    """The error, to be raised, of a directory without a checkpoint."""
    return UsageError(
        f"model_dir = {model_dir!r} has no checkpoint (model.ckpt-<step>); train first, or name "
        "the directory that was trained in"
    )


def check_variables(path, variables, model_dir):
    """Raises UsageError where the checkpoint is of another model than the graph."""
    reason = _misfit(open_reader(path), variables)
    if reason:
        raise UsageError(
            f"model_dir = {model_dir!r} holds another architecture or vocabulary: its checkpoint "
            f"{reason}; use a new model_dir, or the gin files that the directory was trained with"
        )


def _misfit(values, variables):
    """What a checkpoint's reader lacks of the variables of a graph, in words, or None."""
    shapes = values.get_variable_to_shape_map()
    for variable in variables:
        name = variable.op.name
        wanted = variable.shape.as_list()
        if name not in shapes:
            return f"has no variable {name}"
        if shapes[name] != wanted:
            return f"has {name} of shape {shapes[name]}, and the model's is {wanted}"
    return None


class Restore:
    """Loads a checkpoint into a session; made before the graph is finalized.

    Weights are float32 here; an original checkpoint may have them in bfloat16 and is cast.
    Variables that the checkpoint lacks are an error unless `optional` lists them; those keep
    their initial values.
    """

    def __init__(self, variables, optional=()):
        self._variables = list(variables)
        self._optional = {variable.op.name for variable in optional}
        self._saver = tf.train.Saver(self._variables, sharded=True) if self._variables else None

    def __call__(self, sess, path):
        values = open_reader(path)
        self._check(values, path)
        types = values.get_variable_to_dtype_map()
        odd = [v for v in self._variables if types.get(v.op.name) != v.dtype.base_dtype]
        try:
            if not odd:
                self._saver.restore(sess, path)
                return
            for variable in self._variables:
                self._load(sess, values, variable)
        except (tf.errors.OpError, ValueError, IndexError) as error:
            raise RunError(_damaged(path, error)) from error

    def _check(self, values, path):
        required = [v for v in self._variables if v.op.name not in self._optional]
        reason = _misfit(values, required)
        if reason:
            raise UsageError(
                f"the checkpoint {path} {reason}: it is of another architecture or vocabulary "
                "than the gin files describe"
            )

    def _load(self, sess, values, variable):
        name = variable.op.name
        if values.has_tensor(name):
            value = np.asarray(values.get_tensor(name)).astype(variable.dtype.as_numpy_dtype)
            variable.load(value, sess)
        else:  # One of those that a checkpoint may lack.
            sess.run(variable.initializer)


def open_reader(path):
    """TensorFlow's reader of a checkpoint, by its path without the suffix.

    Raises:
        RunError: it cannot be read.
    """
    # tf.train.load_checkpoint asks first whether the path is a directory, which file systems that
    # have none (object stores) may answer as they like.
    try:
        return tf.train.NewCheckpointReader(path)
    except (tf.errors.OpError, ValueError) as error:
        raise RunError(_damaged(path, error)) from error


def _damaged(path, error):
    return (
        f"the checkpoint {path} cannot be read ({_reason(error)}); name another one, or delete its "
        "files: training then goes on from the newest that is left"
    )


def _reason(error):
    """The line of an error that says what is wrong; of a graph's it is the one before the node."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    before_nodes = [a for a, b in zip(lines, lines[1:]) if b.startswith("[[{{node")]
    return (before_nodes or lines or [type(error).__name__])[0]
