"""The settings of segment-level recurrence, in training and in evaluation.

Transformer-XL (https://arxiv.org/abs/1901.02860), section 3.2. A row is cut into segments of T
positions. A query at position p of the segment that starts at s sees the keys k with

    s - M <= k <= p,      and with same_length only the M last ones, p - M < k.

The memory of M positions before the segment consists of hidden states without a gradient. Memory
goes from segment to segment inside a row; in evaluation, and with `carry_in_training`, from row to
row too. Segments are cut from the beginning of the row, also where another text of a packed row
begins.
"""

import dataclasses
from typing import Any

import gin
import mesh_tensorflow as mtf

from primer.common import checks


@dataclasses.dataclass(frozen=True)
class Reach:
    """What a query sees besides its own segment, in one mode.

    Attributes:
        memory_length: positions of memory, M.
        segment_length: positions of a segment, T; None: the whole row.
        same_length: whether every query sees M keys, its own included.
    """

    memory_length: int
    segment_length: int | None
    same_length: bool


@dataclasses.dataclass(frozen=True)
class Recurrence:
    """The recurrence of an attention layer.

    Attributes:
        train: what a query sees in training.
        evaluate: what it sees in evaluation and decoding.
        carry_in_training: whether training hands memory from row to row.
        zero_memory: whether positions before the beginning of a text are seen, as hidden states of
            zeros. Hugging Face's Transformer-XL does so; in the original they do not exist.
    """

    train: Reach
    evaluate: Reach
    carry_in_training: bool = False
    zero_memory: bool = False

    def reach(self, train: bool) -> Reach:
        """Returns what a query sees in training, or in evaluation and decoding."""
        return self.train if train else self.evaluate


@gin.configurable
def segment_recurrence(
    memory_length: int | None = None,
    memory_length_eval: int | None = None,
    segment_length: int | None = None,
    segment_length_eval: int | None = None,
    same_length: bool = False,
    same_length_eval: bool = False,
    carry_memory: bool = False,
    zero_memory: bool = False,
) -> Recurrence | None:
    """Returns the recurrence that the slots describe, for `MultiHeadAttention.recurrence`.

    Args:
        memory_length: positions of memory in training; None: no recurrence.
        memory_length_eval: the same in evaluation and decoding; 0: no memory there.
        segment_length: positions of a segment in training; None: the whole row.
        segment_length_eval: the same in evaluation and decoding.
        same_length: whether in training every query sees as many keys.
        same_length_eval: the same in evaluation and decoding.
        carry_memory: whether training hands memory from row to row.
        zero_memory: as `Recurrence.zero_memory`.

    Raises:
        ValueError: a setting has no such value, or needs memory and there is none.
    """
    flags = {
        "same_length": same_length,
        "same_length_eval": same_length_eval,
        "carry_memory": carry_memory,
        "zero_memory": zero_memory,
    }
    for name, value in flags.items():
        checks.boolean(name, value, ValueError)
    if memory_length is None:
        lengths = {
            "memory_length_eval": memory_length_eval,
            "segment_length": segment_length,
            "segment_length_eval": segment_length_eval,
        }
        _check_without_memory({**lengths, **flags})
        return None
    memory_length_eval = memory_length if memory_length_eval is None else memory_length_eval
    return Recurrence(
        train=_reach("", memory_length, segment_length, same_length, least=1),
        evaluate=_reach(
            "_eval", memory_length_eval, segment_length_eval, same_length_eval, least=0
        ),
        carry_in_training=carry_memory,
        zero_memory=zero_memory,
    )


def memory_positions_dim(number: int) -> mtf.Dimension:
    """Returns the Dimension of the hidden states that a layer keeps."""
    return mtf.Dimension("memory_positions", number)


def _reach(suffix: str, memory: Any, segment: Any, same_length: bool, least: int) -> Reach:
    without = "None for no memory" if least else "0 for no memory"
    expected = f"positions of memory, a whole number of 1 or more, or {without}"
    checks.whole_number(f"memory_length{suffix}", memory, least, expected, ValueError)
    if segment is not None:
        expected = "positions of a segment, a whole number of 1 or more, or None for the whole row"
        checks.whole_number(f"segment_length{suffix}", segment, 1, expected, ValueError)
    # Without memory no query sees more than its segment.
    return Reach(memory, segment, same_length and memory > 0)


def _check_without_memory(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        if value:
            raise ValueError(
                f"{name} = {value!r} needs memory, and memory_length is None: set memory_length "
                f"to a number of positions, or leave {name} out"
            )
