"""The mean of several checkpoints of a run, or its moving average, as a checkpoint of its own.

As Tensor2Tensor's `t2t-avg-all` (and Polyak and Juditsky, 1992): the mean of the weights of a late
part of training is better than most of them. Only weights are averaged. A mean of the optimizer's
variables, or of the memory that rows of training hand to each other, has no meaning, so they are
left out, and no training can continue from the result; a file beside the checkpoints marks it.

A run with `average_decay` keeps a moving average itself: each of its checkpoints has the difference
between the average of a weight and the weight (`primer.optimizers.weight_average`).

Sums are float64, one variable at a time; a variable keeps its type. Variables that are not floating
(the step) have the value of the last checkpoint.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, checkpoint_state, finite_values, model_directory
from primer.checkpoints.description import variable_roles
from primer.common import files, user_paths
from primer.errors import RunError, UsageError

# What `primer.optimizers.weight_average` appends to the name of a weight.
LAG = "_slot_average_lag"


def write_averages(model_dir: str, windows: Sequence[Sequence[str]], output: str) -> None:
    """Writes the mean of each window of checkpoints to a new directory, whole or not at all.

    The directory contains what `primer eval`, `generate` and `primer.load` need, and a mark that
    nothing can be trained in it.

    Args:
        model_dir: the directory of the run.
        windows: lists of paths of its checkpoints; the mean of a window has the step of the last.
        output: a directory that does not exist.

    Raises:
        UsageError: the directory exists, checkpoints have different variables, or it is unknown
            which are weights.
        RunError: a checkpoint cannot be read, or has weights that are not finite.
    """
    with _new_directory(output) as temporary:
        names = _common_weights(model_dir, sorted({path for window in windows for path in window}))
        for window in windows:
            save(temporary, checkpoint_files.step_of(window[-1]), _mean(window, names))
        _write_records(model_dir, windows, temporary)


def write_moving_averages(model_dir: str, paths: Sequence[str], output: str) -> None:
    """Writes the moving average that training kept, as `write_averages` writes means.

    A weight without an average, which was not trained, is written as it is.

    Args:
        model_dir: the directory of the run.
        paths: paths of its checkpoints.
        output: a directory that does not exist.

    Raises:
        UsageError: the directory exists, a checkpoint has no average, or it is unknown which of its
            variables are weights.
        RunError: a checkpoint cannot be read, or has weights that are not finite.
    """
    with _new_directory(output) as temporary:
        names = _common_weights(model_dir, paths)
        for path in paths:
            save(temporary, checkpoint_files.step_of(path), _moving_average(path, names))
        _write_records(model_dir, [[path] for path in paths], temporary, kind="moving")


@contextlib.contextmanager
def _new_directory(output: str) -> Iterator[str]:
    """Yields a temporary directory that has the name `output` where the block succeeds."""
    check_output_is_new(output)
    temporary = f"{output.rstrip('/')}.part-{uuid.uuid4().hex[:8]}"
    try:
        tf.io.gfile.makedirs(temporary)
        yield temporary
        tf.io.gfile.rename(temporary, output)
    except tf.errors.OpError as error:
        reason = files.first_line(error)
        raise RunError(f"the averages cannot be written to {output}: {reason}") from error
    finally:
        if tf.io.gfile.exists(temporary):
            tf.io.gfile.rmtree(temporary)


def check_output_is_new(output: str) -> None:
    """Raises UsageError where a file or directory of this name exists."""
    if tf.io.gfile.exists(output):
        raise UsageError(f"--output = {output!r} exists already: name a new directory")


def _common_weights(model_dir, paths):
    """Returns the names of the weights, which all checkpoints must have in the same shapes.

    Raises:
        UsageError: they differ, or it is unknown which variables are weights.
        RunError: a checkpoint cannot be read.
    """
    first = None
    for path in paths:
        checkpoint_files.check_whole(path)
        reader = checkpoint_files.open_reader(path)
        shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        names = variable_roles.select_weights(model_dir, shapes)
        weights = {name: (shapes[name], types[name].name) for name in names}
        first = first or (path, weights)
        if weights != first[1]:
            raise UsageError(_difference(first, (path, weights)))
    return list(first[1])


def _difference(first, other):
    (path, before), (other_path, after) = first, other
    name = min(name for name in {*before, *after} if before.get(name) != after.get(name))
    here, there = (
        f"{weights[name][0]} {weights[name][1]} in" if name in weights else "not in"
        for weights in (before, after)
    )
    return (
        f"checkpoints of different models have no mean: {name} is {here} {path} and {there} "
        f"{other_path}"
    )


def _mean(window, names):
    """Returns a dict from name to the mean of the values in the checkpoints of a window."""
    readers = [checkpoint_files.open_reader(path) for path in window]
    return {name: _mean_of_variable(readers, name, window) for name in names}


def _mean_of_variable(readers, name, window):
    last = _value(readers[-1], name, window[-1])
    if not tf.as_dtype(last.dtype).is_floating:
        return last
    total = np.zeros(last.shape, np.float64)
    for reader, path in zip(readers, window, strict=True):
        total += finite_value(reader, name, path).astype(np.float64)
    return (total / len(readers)).astype(last.dtype)


def _moving_average(path, names):
    """Returns a dict from name to the moving average in a checkpoint."""
    reader = checkpoint_files.open_reader(path)
    with_lag = {name for name in names if reader.has_tensor(f"{name}{LAG}")}
    if not with_lag:
        raise UsageError(
            f"{path} has no moving average of its weights: training keeps one with a decay, as in "
            '--gin_param="average_decay = 0.999"'
        )
    return {name: _averaged_weight(reader, name, path, name in with_lag) for name in names}


def _averaged_weight(reader, name, path, has_lag):
    weight = _value(reader, name, path)
    if not has_lag:
        return weight
    lag = finite_value(reader, f"{name}{LAG}", path).astype(np.float64)
    total = finite_value(reader, name, path).astype(np.float64) + lag
    return total.astype(weight.dtype)


def finite_value(reader: Any, name: str, path: str) -> np.ndarray:
    """Returns a value of a checkpoint; raises RunError where it is damaged, NaN or infinite."""
    value = _value(reader, name, path)
    if not finite_values.is_finite(value):
        raise RunError(f"{name} is NaN or infinite in {path}: name another checkpoint")
    return value


def _value(reader, name, path):
    try:
        return np.asarray(reader.get_tensor(name))
    except (tf.errors.OpError, ValueError, IndexError) as error:
        raise RunError(
            f"{name} cannot be read from {path}: {files.first_line(error)}; name another checkpoint"
        ) from error


def save(directory: str, step: int, values: Mapping[str, np.ndarray]) -> None:
    """Writes the values to the checkpoint `model.ckpt-<step>` of a directory."""
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


def _write_records(model_dir, windows, directory, **more):
    """Writes the other files of a model directory, and the mark of a directory of averages."""
    for path in model_directory.files_of_model(model_dir):
        tf.io.gfile.copy(path, os.path.join(directory, os.path.basename(path)))
    steps = [[checkpoint_files.step_of(path) for path in window] for window in windows]
    source = user_paths.absolute(str(model_dir))
    mark = {"model_dir": source, "averages": {own[-1]: own for own in steps}, **more}
    files.write_json(os.path.join(directory, model_directory.AVERAGED), mark)
    checkpoint_state.write(directory, [f"model.ckpt-{own[-1]}" for own in steps])
