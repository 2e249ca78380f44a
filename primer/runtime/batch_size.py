"""The number of rows in a training batch, computed as Mesh-TensorFlow computes it."""

import copy
from typing import Any

import gin

from primer.common.settings import run_settings
from primer.errors import UsageError
from primer.gin_config.values import bound
from primer.runtime import callbacks

# The default of utils.run.batch_size.
_DEFAULT = ("tokens_per_replica", 2048)


@gin.configurable(module="primer")
def rows_per_batch() -> int:
    """Returns the number of rows in a batch: `utils.run.batch_size` times the ensemble's inputs.

    Raises:
        UsageError: the batch size is a number of tokens that whole rows cannot fill.
    """
    from mesh_tensorflow.transformer import utils

    _check_tokens_fill_rows()
    rows = _value("utils.run.batch_size", _DEFAULT)
    if not isinstance(rows, int):
        rows = utils.compute_batch_size(
            _lengths(),
            _value("utils.run.mesh_shape", ""),
            _value("utils.run.layout_rules", ""),
            rows,
        )
    return rows * (_value("utils.run.ensemble_inputs") or 1)


@gin.configurable(module="primer")
def targets_per_batch(share: float = 1.0) -> float:
    """Returns the positions of a batch's targets, or the share of them that a loss counts.

    Args:
        share: the expected share of the positions that a loss counts.

    Raises:
        UsageError: as `rows_per_batch`.
    """
    rows = rows_per_batch() // (_value("utils.run.ensemble_inputs") or 1)
    return share * rows * (_lengths() or {})["targets"]


@callbacks.before_run
def check_tokens_fill_rows(mode: str) -> None:
    """Checks, before training, that whole rows fill a batch whose size is given in tokens.

    Args:
        mode: the mode of `utils.run`; only "train" is checked.

    Raises:
        UsageError: the number of tokens is not a multiple of the sequence length.
    """
    if mode == "train":
        _check_tokens_fill_rows()


def _check_tokens_fill_rows():
    size, lengths = _value("utils.run.batch_size", _DEFAULT), _lengths()
    run_settings.check_batch_size(size)
    if isinstance(size, int) or not lengths:
        return
    (method, value), length = size, max(lengths.values())
    if method.startswith("tokens_per_") and value % length:
        raise UsageError(
            f"utils.run.batch_size is {tuple(size)!r}, which is not a whole number of rows of "
            f"{length} tokens (utils.run.sequence_length); use a multiple of {length}"
        )


def _lengths() -> dict[str, int] | None:
    """The sequence length of each feature; utils.run also accepts one number for all."""
    lengths = _value("utils.run.sequence_length")
    return {"targets": lengths} if isinstance(lengths, int) else lengths


def _value(name: str, default: Any = None) -> Any:
    """The value that a call would get: copying makes gin evaluate macros and references."""
    return copy.deepcopy(bound(name, default))
