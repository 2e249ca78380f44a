"""What the layers of a model with memory see before a row, in evaluation.

A layer with segment-level recurrence (`primer.layers.recurrence`) reads the hidden states of M
positions before its segment. These were computed from M positions before them, so that over the
layers of a model the context of a token is bounded: its *receptive field* is the sum over layers.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

import tensorflow.compat.v1 as tf

from primer.common.recurrence import carried_state
from primer.layers.recurrence import past


@dataclasses.dataclass(frozen=True)
class Memory:
    """The memory of a model in evaluation.

    Attributes:
        kept: how many positions before a row each layer with memory reads.
        memory_length: positions of memory before a segment, M.
        segment_length: positions of a segment, T; None: the whole row.
        same_length: whether every query sees M keys, its own included.
        clamp_length: the longest distance that relative positions tell apart; None: all.
        zero_memory: whether positions before a text are seen, as zeros.
    """

    kept: tuple[int, ...]
    memory_length: int
    segment_length: int | None = None
    same_length: bool = False
    clamp_length: int | None = None
    zero_memory: bool = False

    def rows_before(self, length: int, recomputed: int = 0) -> int:
        """Returns how many rows before a row can change what is computed in it.

        A layer reads `kept` positions before a row: those of the rows that have them, from their
        first positions on.

        Args:
            length: tokens from the beginning of a row to that of the next one.
            recomputed: tokens at the front of each row that the row before has too; the memory
                ends before them.
        """
        return sum(-(-(kept + recomputed) // length) for kept in self.kept)

    def depends_on_place(self, length: int) -> bool:
        """Whether a text of a row of `length` tokens depends on where in the row it begins.

        Segments are cut from the beginning of the row, and zeros are seen before it.
        """
        short = self.segment_length is not None and self.segment_length < length
        return self.zero_memory or (short and not self.same_length)

    def describe(self) -> str:
        """Returns a phrase on what a layer sees, with the settings that say so."""
        settings = f"memory_length_eval = {self.memory_length}"
        if self.same_length:
            seen = f"the last {self.memory_length} positions"
            settings += ", same_length_eval"
        elif self.segment_length is None:
            seen = f"its window so far and {self.memory_length} positions before that"
        else:
            seen = f"its segment so far and {self.memory_length} positions before that"
            settings += f", segment_length_eval = {self.segment_length}"
        if self.clamp_length is not None:
            settings += f", clamp_length_eval = {self.clamp_length}"
        zeros = ", zeros before the beginning of a text" if self.zero_memory else ""
        return f"each token of a layer sees {seen}{zeros} ({settings})"


def of_model(model: Any) -> Memory | None:
    """Returns the memory of a model, or None.

    Of layers with other settings than the first one's, only what they keep is read: the settings
    are slots of the whole model.

    Args:
        model: a Mesh-TF model.
    """
    stack: Any = getattr(model, "layer_stack", None)
    if not hasattr(stack, "carried_parts"):
        return None
    parts = stack.carried_parts(model.model_dim, tf.float32, train=False)
    if not parts:
        return None
    layer = next(layer for layer in stack._layers if past.positions_kept(layer, train=False))
    reach = layer.recurrence.evaluate
    return Memory(
        tuple(_kept(parts)),
        reach.memory_length,
        reach.segment_length,
        reach.same_length,
        getattr(layer, "clamp_length_eval", None),
        layer.recurrence.zero_memory,
    )


def _kept(parts: dict[str, Any]) -> Iterable[int]:
    return (dims[0].size for name, (dims, _) in parts.items() if name != carried_state.TEXTS)
