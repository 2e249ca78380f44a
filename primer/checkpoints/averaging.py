"""The mean of several checkpoints of a run, as a checkpoint of its own.

In the spirit of Tensor2Tensor's `t2t-avg-all` (and of Polyak and Juditsky, 1992): weights that a
late part of training went through average to better ones than most of them. Here only the model's
variables are averaged; those of the optimizer have no mean that means anything, and are left out,
which is why no training can go on from the result. A file beside the checkpoints says so.

Sums are float64, one variable at a time; a variable keeps its type. What is no number with a
fraction (the step) is that of the last checkpoint.
"""

import json
import os
import re
import uuid

import numpy as np
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, model_directory, vocabulary_copy
from primer.errors import RunError, UsageError

BESIDE = (*model_directory.CONFIGS, model_directory.RECORD, vocabulary_copy.PATTERN)
# What Mesh-TensorFlow's optimizers name their variables after a model's: Adafactor, Adam, SGD.
SLOT = re.compile(r"(_slot_(vr|vc|v|m)|/adam_(m|v)|_momentum_v)$")


def write_averages(model_dir, windows, output):
    """Writes the mean of each window of checkpoints to a new directory, whole or not at all.

    The directory has what `primer eval`, `generate` and `primer.load` need, and a mark that nothing
    is trained in it.

    Args:
        model_dir: of the run.
        windows: lists of paths of its checkpoints; a mean is named after the last of its window.
        output: a directory that does not exist.

    Raises:
        UsageError: the directory exists, or checkpoints have not the same variables.
        RunError: a checkpoint cannot be read, or has weights that are not finite.
    """
    check_output_is_new(output)
    temporary = f"{output.rstrip('/')}.part-{uuid.uuid4().hex[:8]}"
    try:
        tf.io.gfile.makedirs(temporary)
        names = check_same_weights(sorted({path for window in windows for path in window}))
        for window in windows:
            _save(temporary, checkpoint_files.step_of(window[-1]), _mean(window, names))
        _write_records(model_dir, windows, temporary)
        tf.io.gfile.rename(temporary, output)
    except tf.errors.OpError as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"the averages cannot be written to {output}: {reason}") from error
    finally:
        if tf.io.gfile.exists(temporary):
            tf.io.gfile.rmtree(temporary)


def check_output_is_new(output):
    """Raises UsageError where a directory or a file is in the way."""
    if tf.io.gfile.exists(output):
        raise UsageError(f"--output = {output!r} exists already: name a new directory")


def model_variables(shapes) -> list:
    """The names among those of a checkpoint that are not the optimizer's, sorted.

    Args:
        shapes: a dict with the names of all variables of the checkpoint.
    """
    return sorted(name for name in shapes if SLOT.sub("", name) not in set(shapes) - {name})


def check_same_weights(paths) -> list:
    """The names of the model's variables, which all checkpoints must have in the same shapes.

    Raises:
        UsageError: they have not.
        RunError: a checkpoint cannot be read.
    """
    first = None
    for path in paths:
        checkpoint_files.check_whole(path)
        reader = checkpoint_files.open_reader(path)
        shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        found = {name: (shapes[name], types[name].name) for name in model_variables(shapes)}
        first = first or (path, found)
        if found != first[1]:
            raise UsageError(_difference(first, (path, found)))
    return list(first[1])


def _difference(first, other):
    (path, before), (other_path, after) = first, other
    name = min(name for name in {*before, *after} if before.get(name) != after.get(name))
    here, there = (
        f"{found[name][0]} {found[name][1]} in" if name in found else "not in"
        for found in (before, after)
    )
    return (
        f"checkpoints of different models have no mean: {name} is {here} {path} and {there} "
        f"{other_path}"
    )


def _mean(window, names) -> dict:
    """Name -> mean of the values in the checkpoints of a window."""
    readers = [checkpoint_files.open_reader(path) for path in window]
    return {name: _mean_of(readers, name, window) for name in names}


def _mean_of(readers, name, window):
    last = _value(readers[-1], name, window[-1])
    if not tf.as_dtype(last.dtype).is_floating:
        return last
    total = np.zeros(last.shape, np.float64)
    for reader, path in zip(readers, window, strict=True):
        total += _value(reader, name, path).astype(np.float64)
    mean = total / len(readers)
    if not np.isfinite(mean).all():
        raise RunError(f"{name} is NaN or infinite in one of {', '.join(window)}: leave that out")
    return mean.astype(last.dtype)


def _value(reader, name, path):
    try:
        return np.asarray(reader.get_tensor(name))
    except (tf.errors.OpError, ValueError, IndexError) as error:
        raise RunError(
            f"{name} cannot be read from {path}: {str(error).splitlines()[0]}; average others"
        ) from error


def _save(directory, step, values):
    """Writes `model.ckpt-<step>` with the values; nothing but them is in the checkpoint."""
    names = sorted(values)
    with tf.Graph().as_default(), tf.Session() as sess:
        feeds = {tf.placeholder(values[name].dtype, values[name].shape): name for name in names}
        save = tf.raw_ops.SaveV2(
            prefix=os.path.join(directory, f"model.ckpt-{step}"),
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=list(feeds),
        )
        sess.run(save, {feed: values[name] for feed, name in feeds.items()})


def _write_records(model_dir, windows, directory):
    """What belongs to a model directory, and the mark of an average."""
    for pattern in BESIDE:
        for name in tf.io.gfile.glob(os.path.join(model_dir, pattern)):
            tf.io.gfile.copy(name, os.path.join(directory, os.path.basename(name)))
    steps = [[checkpoint_files.step_of(path) for path in window] for window in windows]
    source = str(model_dir) if "://" in str(model_dir) else os.path.abspath(model_dir)
    mark = {"model_dir": source, "averages": {own[-1]: own for own in steps}}
    with tf.io.gfile.GFile(os.path.join(directory, model_directory.AVERAGED), "w") as out:
        out.write(json.dumps(mark, indent=2) + "\n")
    names = [f"model.ckpt-{own[-1]}" for own in steps]
    state = "".join(f'all_model_checkpoint_paths: "{name}"\n' for name in names)
    with tf.io.gfile.GFile(os.path.join(directory, "checkpoint"), "w") as out:
        out.write(f'model_checkpoint_path: "{names[-1]}"\n{state}')
