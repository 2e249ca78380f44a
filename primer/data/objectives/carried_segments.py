"""The segments of rows that continue each other: the passes over the text.

A model that carries a memory from row to row must not see the end of one pass over the text from
the beginning of the next. Each pass, an epoch of `lm_stream`, is a segment with the same number in
all rows: a row has two where an epoch ends in it.
"""

import contextlib
import contextvars
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from primer.data.objectives.token_columns import HostRows
from primer.errors import UsageError

# Segments have the numbers 1 to PASSES, then 1 again: by then no memory reaches so far back.
PASSES = 1 << 20

# A context variable because t5 and seqio lie between the rows that are read and the objective that
# makes them, and pass on no feature of ours.
_made: contextvars.ContextVar[list[HostRows] | None]
_made = contextvars.ContextVar("made", default=None)


def report(rows: HostRows) -> None:
    """Tells the innermost block of `collected` what rows a data set has; else does nothing."""
    made = _made.get()
    if made is not None:
        made.append(rows)


@contextlib.contextmanager
def collected() -> Iterator[list[HostRows]]:
    """Yields a list that gets the rows of each stream whose data set the block builds."""
    made: list[HostRows] = []
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)


def with_passes(rows: tf.data.Dataset, made: list[HostRows]) -> tf.data.Dataset:
    """Returns rows {"targets": [length]} with the passes as segments, and their positions.

    Args:
        rows: a stream's rows from its first on, with zeros behind their tokens.
        made: the rows that `collected` has got, of one stream.

    Returns:
        A data set of {"targets", "targets_segmentation", "targets_position"}, [length] int32 each.

    Raises:
        UsageError: there is not one stream.
    """
    if len(made) != 1:
        raise UsageError(
            f"train_rows.carried_segments = True: {len(made)} streams are read; expected one task "
            "with objectives/lm_stream.gin (MIXTURE_NAME)"
        )

    def add(number, example):
        ids = example["targets"]

        def segments(number):
            return segments_of(made[0].epochs(int(number)), ids.shape[0])

        found = tf.numpy_function(segments, [number], [tf.int32, tf.int32], stateful=False)
        segmentation, positions = (tf.ensure_shape(part, ids.shape) for part in found)
        return {
            "targets": ids,
            "targets_segmentation": segmentation,
            "targets_position": positions,
        }

    return rows.enumerate().map(add, tf.data.AUTOTUNE, deterministic=True)


def segments_of(epochs: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the segments and the positions of a row.

    Args:
        epochs: the epoch, from 0, of each of its tokens.
        length: the positions of the row.

    Returns:
        (segments, positions), [length] int32 each: the epoch's number + 1, modulo PASSES, and the
        place in the row from its beginning or that of the epoch; both 0 behind the tokens.
    """
    segments, positions = np.zeros((2, length), np.int32)
    number = len(epochs)
    segments[:number] = epochs % PASSES + 1
    places = np.arange(number)
    begins = np.flatnonzero(np.diff(epochs, prepend=-1))
    positions[:number] = places - begins[np.searchsorted(begins, places, side="right") - 1]
    return segments, positions
