"""The files of checkpoints: lists them, and checks that they are whole, finite and of the model."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_state, finite_values, pattern_free
from primer.common import console, files
from primer.errors import RunError, UsageError

GLOBAL_STEP = "global_step"


def step_of(path: str | None) -> int:
    """Returns the step in a checkpoint's name (`.../model.ckpt-N`); 0 for None."""
    if not path:
        return 0
    match = re.search(r"model\.ckpt-(\d+)$", str(path))
    if not match:
        raise UsageError(f"checkpoint {path!r}: expected a path that ends in model.ckpt-<step>")
    return int(match.group(1))


def is_whole(path: str) -> bool:
    """Tells whether the checkpoint's index can be read and all its data files exist."""
    try:
        open_reader(path).get_variable_to_dtype_map()
    except (RunError, tf.errors.OpError, ValueError):
        return False
    data_files = _files_of(path, r"data-\d+-of-\d+")
    shards = {int(name.rsplit("-of-", 1)[1]) for name in data_files}
    return len(shards) == 1 and len(data_files) == shards.pop()


def has_index(path: str) -> bool:
    """Tells whether the checkpoint has an index, which is written last."""
    return tf.io.gfile.exists(f"{path}.index")


def check_whole(path: str) -> None:
    """Raises RunError, with the reason, where a checkpoint cannot be read."""
    if is_whole(path):
        return
    if not files_of(path):
        raise RunError(f"the checkpoint {path} is not there any more")
    raise RunError(f"the checkpoint {path} is incomplete or damaged")


def fingerprint(path: str) -> str:
    """Returns a hash that is equal for checkpoints of the same names, shapes and values.

    A checkpoint's index contains a checksum of every tensor, so the data are not read; their size
    shows whether they are complete.

    Raises:
        RunError: there is no index, or it cannot be read.
    """
    try:
        with tf.io.gfile.GFile(f"{path}.index", "rb") as index:
            digest = hashlib.sha256(index.read())
        for name in _files_of(path, r"data-\d+-of-\d+"):
            digest.update(str(tf.io.gfile.stat(name).length).encode())
    except tf.errors.OpError as error:
        raise RunError(damaged(path, error)) from error
    return digest.hexdigest()[:16]


def list_files(directory: str) -> list[str]:
    """Returns the paths of all files of checkpoints in a directory."""
    return files.matching_files(directory, r"model\.ckpt-\d+\..+")


def files_of(path: str) -> list[str]:
    """Returns the paths of all files of one checkpoint."""
    return _files_of(path, ".+")


def _files_of(path, ending):
    directory, name = os.path.split(path)
    return files.matching_files(directory or ".", rf"{re.escape(name)}\.{ending}")


def delete(path: str) -> None:
    """Deletes the files of a checkpoint, the index first: without it there is no checkpoint."""
    for name in sorted(files_of(path), key=lambda name: not name.endswith(".index")):
        with contextlib.suppress(tf.errors.NotFoundError):
            tf.io.gfile.remove(name)


def list_checkpoints(directory: str) -> dict[int, str]:
    """Returns a dict from step to path of all checkpoints of which an index or data exist."""
    found = {}
    for name in list_files(directory):
        match = re.search(r"model\.ckpt-(\d+)\.(index|data-\d+-of-\d+)$", name)
        if match:
            found[int(match.group(1))] = os.path.join(directory, f"model.ckpt-{match.group(1)}")
    return found


def whole_steps(directory: str) -> list[int]:
    """Returns the steps of all whole checkpoints of a directory, in order."""
    return sorted(step for step, path in list_checkpoints(directory).items() if is_whole(path))


def latest_checkpoint(directory: str) -> str | None:
    """Returns the path of the newest checkpoint, or None.

    This is the one that the file `checkpoint` names; where its files are gone, the newest whole
    one.
    """
    named = named_checkpoint(directory)
    if named:
        return named
    whole = whole_steps(directory)
    latest = os.path.join(directory, f"model.ckpt-{whole[-1]}") if whole else None
    state = checkpoint_state.read(directory)
    if state and os.path.normpath(state.named) != os.path.normpath(state.latest):
        console.say_once(
            f"{os.path.join(directory, checkpoint_state.FILE)} names {state.named}, which is not "
            f"in its directory and is not read; the newest checkpoint there is {latest or 'none'}"
        )
    return latest


def named_checkpoint(directory: str) -> str | None:
    """Returns the path of the checkpoint that the file `checkpoint` names, if it is there."""
    state = checkpoint_state.read(directory)
    return state.latest if state and has_index(state.latest) else None


def no_checkpoint_error(model_dir: str) -> UsageError:
    """Returns the error, to be raised, for a directory without a checkpoint."""
    return UsageError(
        f"model_dir = {model_dir!r} has no checkpoint (model.ckpt-<step>); train first, or name "
        "the directory that was trained in"
    )


def check_variables(path: str, variables: Iterable[tf.Variable], model_dir: str) -> None:
    """Raises UsageError where a checkpoint lacks a variable, or has it in another shape."""
    reason = difference(open_reader(path), variables)
    if reason:
        raise UsageError(
            f"model_dir = {model_dir!r} holds another architecture or vocabulary: its checkpoint "
            f"{reason}; use a new model_dir, or the gin files that the directory was trained with"
        )


def difference(
    reader: Any, variables: Iterable[tf.Variable], names: Mapping[str, str] | None = None
) -> str | None:
    """Says which of a graph's variables a checkpoint lacks or has in another shape, or None.

    Args:
        reader: TensorFlow's reader of the checkpoint.
        variables: the variables.
        names: name in the graph -> name in the checkpoint, where these are others.
    """
    shapes = reader.get_variable_to_shape_map()
    for variable in variables:
        name = (names or {}).get(variable.op.name, variable.op.name)
        expected = variable.shape.as_list()
        if name not in shapes:
            return f"has no variable {name}"
        if shapes[name] != expected:
            return f"has {name} of shape {shapes[name]}, and the model's is {expected}"
    return None


def newest_finite(directory: str, names: Iterable[str]) -> str | None:
    """Returns the path of the newest checkpoint whose variables of these names are finite, or None.

    This reads the values.
    """
    names = list(names)
    found = list_checkpoints(directory)
    for step in sorted(found, reverse=True):
        try:
            if finite_values.first_in_file(open_reader(found[step]), names) is None:
                return found[step]
        except (RunError, tf.errors.OpError, ValueError, IndexError):
            continue  # Damaged.
    return None


def not_finite(path: str, name: str, names: Iterable[str]) -> str:
    """Returns the message on a checkpoint with a value that is not finite, with the way out."""
    directory, newest = os.path.dirname(path), newest_finite(os.path.dirname(path), names)
    message = f"{name} is NaN or infinite in the checkpoint {path}, which is therefore not used; "
    if newest is None:
        return message + f"{directory} has no other that is finite: train in a new model_dir"
    step = step_of(newest)
    message += (
        f"the newest finite one beside it is {newest}: name step {step} (--checkpoint, "
        "--checkpoints, utils.run.eval_checkpoint_step)"
    )
    later = [other for other in sorted(list_checkpoints(directory)) if other > step]
    if not later:
        return message
    files = ", ".join(f"model.ckpt-{other}.*" for other in later)
    return f"{message}, or delete {files}, and training continues from it"


def open_reader(path: str) -> "tf.train.NewCheckpointReader":
    """Returns TensorFlow's reader of a checkpoint, by its path without a suffix.

    Raises:
        RunError: it cannot be read.
    """
    # Not tf.train.load_checkpoint: it first asks whether the path is a directory, which object
    # stores answer in different ways.
    try:
        return tf.train.NewCheckpointReader(pattern_free.readable(path))
    except (tf.errors.OpError, ValueError) as error:
        raise RunError(damaged(path, error)) from error


def damaged(path: str, error: Exception) -> str:
    """Returns the message on a checkpoint that TensorFlow cannot read."""
    reason = reason_of(error)
    return (
        f"the checkpoint {path} cannot be read ({reason}{_in_file(path, reason)}); name another "
        "one, or delete its files: training then continues from the newest that is left"
    )


def _in_file(path, reason):
    """Returns " in <name>" with the file that a reason is about, where it does not name it."""
    data = [os.path.basename(name) for name in _files_of(path, r"data-.+")]
    if any(name in reason for name in data) or "data-" in reason:
        return ""
    shard = re.search(r"shard (\d+)", reason)
    if shard:
        data = [name for name in data if f".data-{int(shard[1]):05d}-" in name]
    elif "sstable" in reason:
        data = [f"{os.path.basename(path)}.index"]
    return f" in {' or '.join(data)}" if data else ""


def reason_of(error: Exception) -> str:
    """Returns the line of an error with the reason; in a graph's error, that before the node."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    before_nodes = [a for a, b in zip(lines, lines[1:]) if b.startswith("[[{{node")]
    return (before_nodes or lines or [type(error).__name__])[0]
