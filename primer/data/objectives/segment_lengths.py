"""The lengths of a stream's rows by step: all equal, or drawn for each step.

Transformer-XL's `varlen` draws the length of each step's segment, the same for all columns, so
that the borders of segments are at other places of the text in each epoch
(kimiyoung/transformer-xl, `data_utils.py`). A length is a function of the seed and the step's
number alone: rows stay computable from their numbers, on any host and after a restart.
"""

import dataclasses
import threading
from typing import Protocol

import gin
import numpy as np

from primer.common import checks, mixed_order
from primer.data.objectives.epoch_streams import kept_for_epochs
from primer.errors import UsageError

# Steps whose lengths are drawn together.
BLOCK = 4096
# The longest segment is this many deviations above the mean: theirs.
_DEVIATIONS = 3
# Distinguish these draws from the orders of documents (none) and of rows (1), of the same seed.
_LENGTHS, _HALVES = 2, 3


class Lengths(Protocol):
    """The lengths of a column's rows, one after the other.

    Attributes:
        longest: the longest of them.
    """

    longest: int

    def begin(self, step: int) -> int:
        """Returns the tokens of a column before its row of a step."""

    def steps(self, tokens: int) -> int:
        """Returns the number of rows that have so many tokens; the last one may be shorter."""


@dataclasses.dataclass(frozen=True)
class EqualLengths:
    """Rows of one length."""

    longest: int

    def begin(self, step: int) -> int:
        """Returns the tokens of a column before its row of a step."""
        return step * self.longest

    def steps(self, tokens: int) -> int:
        """Returns the number of rows that have so many tokens."""
        return -(-tokens // self.longest)


@dataclasses.dataclass(frozen=True)
class Variation:
    """How lengths vary: as `varied_lengths` returns it.

    Attributes:
        mean, deviation: of the normal distribution of most lengths.
        shortest, longest: the bounds of all lengths.
        half_share: the share of lengths with half the mean.
    """

    mean: float
    deviation: float
    shortest: int
    longest: int
    half_share: float

    def expected(self) -> float:
        """Returns the mean length over all steps, but for the bounds and for rounding."""
        return self.mean * (1 - self.half_share / 2)

    def draw(self, seed: int, block: int) -> np.ndarray:
        """Returns the lengths of a block of steps, [BLOCK] int64."""
        is_half = mixed_order.uniform((BLOCK,), seed, block, _HALVES) < self.half_share
        means = np.where(is_half, self.mean / 2, self.mean)
        drawn = means + self.deviation * mixed_order.normal((BLOCK,), seed, block, _LENGTHS)
        return np.clip(np.trunc(drawn), self.shortest, self.longest).astype(np.int64)


class VariedLengths:
    """Rows whose lengths are drawn by step; all columns of a step have the same.

    Args:
        variation: the distribution.
        seed: the seed of the run's data order.

    Attributes:
        longest: the longest length that can occur.
    """

    def __init__(self, variation: Variation, seed: int) -> None:
        self.longest = variation.longest
        self._draw = lambda block: variation.draw(seed, block)
        # The tokens of a column before each block; grows with the blocks that are asked for.
        self._blocks, self._lock = [0], threading.Lock()
        self._ends = kept_for_epochs(lambda block: np.cumsum(self._draw(block)))

    def begin(self, step: int) -> int:
        """Returns the tokens of a column before its row of a step."""
        block, place = divmod(step, BLOCK)
        before = int(self._ends(block)[place - 1]) if place else 0
        return self._block_begin(block) + before

    def steps(self, tokens: int) -> int:
        """Returns the number of rows that have so many tokens."""
        block = 0
        while self._block_begin(block + 1) < tokens:
            block += 1
        within = tokens - self._block_begin(block)
        return block * BLOCK + int(np.searchsorted(self._ends(block), within)) + (within > 0)

    def _block_begin(self, block):
        with self._lock:
            while len(self._blocks) <= block:
                last = len(self._blocks) - 1
                self._blocks.append(self._blocks[last] + int(self._draw(last).sum()))
            return self._blocks[block]


@gin.configurable(module="primer")
def varied_lengths(
    row_length: int,
    mean: int | None = None,
    deviation: float = 5.0,
    shortest: int = 5,
    half_share: float = 0.05,
) -> Variation:
    """Returns how the lengths of `lm_stream` vary with `lm_stream.vary_length`.

    A length is max(shortest, int(normal(m, deviation))), at most mean + 3 deviations, where m is
    half the mean with probability `half_share`, else the mean.

    Args:
        row_length: the positions of a row, which has zeros behind a shorter segment.
        mean: `tgt_len`; None for the longest mean that fits: row_length - 3 deviations.
        deviation: `std`.
        shortest: `min_len`.
        half_share: the share of segments of half the mean length.

    Raises:
        UsageError: a setting has no such value, or the lengths do not fit into a row.
    """
    checks.positive_number("varied_lengths.deviation", deviation)
    checks.whole_number("varied_lengths.shortest", shortest)
    if checks.number_from_zero("varied_lengths.half_share", half_share) > 1:
        raise UsageError(f"varied_lengths.half_share = {half_share!r}: expected a share, 0 to 1")
    room = int(np.ceil(_DEVIATIONS * deviation))
    if mean is None:
        mean = row_length - room
    else:
        checks.whole_number("varied_lengths.mean", mean)
    if mean <= shortest or mean + room > row_length:
        raise UsageError(
            f"lm_stream.vary_length is True: lengths of {mean} on average, between "
            f"{shortest} (varied_lengths.shortest) and {mean + room} (3 deviations above), do not "
            f"fit into rows of {row_length}; expected utils.run.sequence_length of at least "
            f"{max(mean, shortest + 1) + room}, or other values of varied_lengths"
        )
    return Variation(mean, deviation, shortest, mean + room, half_share)
