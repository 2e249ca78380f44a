"""How many rows a batch of training has, as Mesh-TensorFlow will compute it."""

import copy

import gin

from primer.errors import UsageError
from primer.gin_config.values import bound
from primer.runtime import callbacks

_DEFAULT = ("tokens_per_replica", 2048)  # Of utils.run.


@gin.configurable(module="primer")
def rows_per_batch():
    """The rows of a batch: `utils.run.batch_size`, for each member of an ensemble.

    Returns:
        The number of rows.

    Raises:
        UsageError: tokens of which rows cannot be made.
    """
    from mesh_tensorflow.transformer import utils

    _check_division()
    rows = _value("utils.run.batch_size", _DEFAULT)
    if not isinstance(rows, int):
        rows = utils.compute_batch_size(
            _lengths(),
            _value("utils.run.mesh_shape", ""),
            _value("utils.run.layout_rules", ""),
            rows,
        )
    return rows * (_value("utils.run.ensemble_inputs") or 1)


@callbacks.before_run
def check_division(mode):
    """Raises UsageError where a batch of training is not a number of rows."""
    if mode == "train":
        _check_division()


def _check_division():
    size, lengths = _value("utils.run.batch_size", _DEFAULT), _lengths()
    if not isinstance(size, (tuple, list)) or len(size) != 2 or not lengths:
        return
    (method, value), length = size, max(lengths.values())
    if method.startswith("tokens_per_") and value % length:
        raise UsageError(
            f"utils.run.batch_size is {tuple(size)!r}, which rows of {length} tokens "
            f"(utils.run.sequence_length) do not divide; use a multiple of {length}"
        )


def _lengths():
    """{"inputs", "targets"} -> length; utils.run also takes one number for both."""
    lengths = _value("utils.run.sequence_length")
    return {"targets": lengths} if isinstance(lengths, int) else lengths


def _value(name, default=None):
    """The value that a call would get: gin evaluates references where it copies them."""
    return copy.deepcopy(bound(name, default))
