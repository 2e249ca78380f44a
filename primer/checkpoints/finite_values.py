"""Whether the values of a checkpoint are finite: as variables of a session, and in its files.

A checkpoint with a NaN or an infinite weight computes nothing, and nothing after it fails: argmax
of NaN is a token, and training goes on with NaN.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow.compat.v1 as tf

# Values of a session are copied in parts of about this size, which bounds the memory.
_PART_BYTES = 1 << 28


def floating(variables: Iterable[tf.Variable]) -> list[tf.Variable]:
    """Returns the variables that can be NaN or infinite; the step cannot."""
    return [v for v in variables if v.dtype.base_dtype.is_floating]


def is_finite(value: np.ndarray) -> bool:
    """Whether no element is NaN or infinite."""
    # A sum with such an element is not finite, and takes a fraction of the time; one of large
    # elements may overflow.
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.sum(value)) or np.isfinite(value).all())


def first_in_session(sess: tf.Session, variables: Iterable[tf.Variable]) -> str | None:
    """Returns the name of a variable that is NaN or infinite in a session, or None.

    This adds no operation: the graph may be finalized, and graphs do not depend on the check.
    """
    for part in _parts(floating(variables)):
        for variable, value in zip(part, sess.run(part), strict=True):
            if not is_finite(value):
                return variable.op.name
    return None


def _parts(variables: Sequence[tf.Variable]) -> Iterator[list[tf.Variable]]:
    """Splits variables into lists of about _PART_BYTES."""
    part: list[tf.Variable] = []
    size = 0
    for variable in variables:
        part.append(variable)
        size += variable.shape.num_elements() * variable.dtype.base_dtype.size
        if size >= _PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def first_in_file(reader: "tf.train.NewCheckpointReader", names: Iterable[str]) -> str | None:
    """Returns the first of the names whose values in a checkpoint are NaN or infinite, or None.

    Args:
        reader: TensorFlow's reader of the checkpoint.
        names: names of variables; those that the checkpoint lacks, or are not floating, are left
            out.
    """
    types = reader.get_variable_to_dtype_map()
    for name in names:
        if name in types and types[name].is_floating:
            if not is_finite(np.asarray(reader.get_tensor(name))):
                return name
    return None
