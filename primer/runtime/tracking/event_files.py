"""Reads the numbers of a run out of its TensorBoard event files.

    model_dir/events...                   training            source "train"
    model_dir/eval/NAME/events...         `primer eval`, and validation: "eval/NAME"
    model_dir/eval/, eval_NAME/           stock evaluation: "eval", "eval_NAME"

A directory has a file for each session. Of a session that was killed, the steps after its last
checkpoint are trained again by the next one, which says at which step it begins: what was written
from this step on no longer counts, as in TensorBoard. Of several values of one step and tag the
last counts.
"""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import tensorflow.compat.v1 as tf

from primer.common import console
from primer.common.files import first_line
from primer.errors import UsageError

PREFIX = "events.out.tfevents."
TRAIN = "train"


class Scalar(NamedTuple):
    """A number of a run.

    Attributes:
        source: "train", or the folder of an evaluation, as "eval/sotu_validation_document".
        step: the step of training.
        tag: its name, as "loss".
        value: the number; it may be NaN or infinite.
        wall_time: when it was written, in seconds since 1970.
    """

    source: str
    step: int
    tag: str
    value: float
    wall_time: float


def read_scalars(model_dir: str, say: Callable[[str], None] = console.say) -> list[Scalar]:
    """Returns all numbers of a run's events, sorted by source, tag and step.

    Args:
        model_dir: the directory of a run.
        say: prints a line for a file whose end is damaged or not complete, which is left out.

    Raises:
        UsageError: there is no such directory, or no event file in it.
    """
    if not tf.io.gfile.isdir(model_dir):
        raise UsageError(f"model_dir = {model_dir!r}: there is no such directory")
    sources = {source: paths for source, paths in _sources(model_dir) if paths}
    if not sources:
        raise UsageError(
            f"model_dir = {model_dir!r} has no event file ({PREFIX}*): nothing was trained there"
        )
    found = [
        Scalar(source, step, tag, value, wall_time)
        for source, paths in sources.items()
        for (tag, step), (value, wall_time) in _merged(paths, say).items()
    ]
    order = list(sources)
    return sorted(found, key=lambda s: (order.index(s.source), s.tag, s.step))


def _sources(model_dir) -> Iterator[tuple[str, list[str]]]:
    """Yields (source, event files in the order of their sessions): training, then evaluations."""
    yield TRAIN, _event_files(model_dir)
    for folder in sorted(tf.io.gfile.listdir(model_dir)):
        folder = folder.rstrip("/")
        if folder != "eval" and not folder.startswith("eval_"):
            continue
        top = os.path.join(model_dir, folder)
        for directory, _, _ in sorted(tf.io.gfile.walk(top)):
            yield (
                os.path.relpath(directory, model_dir).replace(os.sep, "/"),
                _event_files(directory),
            )


def _event_files(directory):
    names = [name for name in tf.io.gfile.listdir(directory) if name.startswith(PREFIX)]
    return [os.path.join(directory, name) for name in sorted(names, key=_number)]


def _number(name):
    """A file's place among those of its directory: its time, then the rest of its name."""
    time, _, rest = name.removeprefix(PREFIX).partition(".")
    return (int(time) if time.isdigit() else 0, len(rest), rest)


def _merged(paths, say) -> dict[tuple[str, int], tuple[float, float]]:
    """Returns {(tag, step): (value, wall time)} of the sessions of one directory."""
    found: dict[tuple[str, int], tuple[float, float]] = {}
    for path in paths:
        for event in _events(path, say):
            if event.session_log.status == tf.SessionLog.START:
                found = {key: value for key, value in found.items() if key[1] < event.step}
            for value in event.summary.value:
                number = _scalar(value)
                if number is not None:
                    found[value.tag, event.step] = number, event.wall_time
    return found


def _events(path, say):
    """Yields the events of a file up to its end, or to the first damaged record."""
    number = 0
    try:
        for record in tf.io.tf_record_iterator(path):
            event = tf.Event.FromString(record)
            number += 1
            yield event
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError):
        say(f"{path} is damaged or not complete after {number:,} events; the rest is left out")
    except Exception as error:  # The module of protobuf's DecodeError depends on its release.
        if type(error).__name__ != "DecodeError":
            raise
        say(f"{path}: event {number + 1:,} is damaged ({first_line(error)}); the rest is left out")


def _scalar(value) -> float | None:
    """The number of a summary's value; None of an image, a histogram or a text."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind == "tensor":
        array = np.asarray(tf.make_ndarray(value.tensor))
        if array.size == 1 and array.dtype.kind in "fiub":
            return float(array.reshape([]))
    return None
