"""How much of its documents an objective reads in an epoch.

T5's `lm` takes one random piece of each document, of at most 65,536 tokens; `documents_random`
takes one window. Both leave the rest of longer documents to other epochs.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import gin
import numpy as np

from primer.data.objectives import row_objectives, segment_lengths

_PIECE = "t5.data.preprocessors.select_random_chunk.max_length"
_STITCH = "primer.documents_random.stitch"
_VARY_LENGTH = "primer.lm_stream.vary_length"


@dataclasses.dataclass(frozen=True)
class EpochSize:
    """What the objective that gin sets reads of documents, in rows of a length.

    Attributes:
        objective: Primer's objective, or "lm" for preprocessors of T5.
        length: tokens of a row; None if rows are not cut.
        piece: the maximum length of the one piece of each document that T5's `lm` reads, or None.
        stitch: the documents that `documents_random` joins before it takes a window.
        tokens_per_row: the mean tokens of a row of `lm_stream` where they vary, or None.
    """

    objective: str
    length: int | None
    piece: int | None = None
    stitch: int = 1
    tokens_per_row: float | None = None

    def positions(self, sizes: Any, maximum: Callable = np.maximum) -> Any:
        """Returns the positions of rows that documents take, before the factor `per_position`.

        Args:
            sizes: the documents' tokens without end tokens, as integers of numpy or TensorFlow.
            maximum: the maximum of two such arrays.
        """
        if self.objective == "lm":
            if not self.piece:
                return sizes
            pieces = maximum((sizes + self.piece - 1) // self.piece, 1)
            return (sizes + pieces // 2) // pieces  # The mean of the pieces, which are drawn alike.
        if self.objective == "chunks":
            return -(-(sizes + 1) // self.length) * self.length
        if self.objective == "documents_random":
            return sizes * 0 + self.length
        return sizes + 1

    def scaled(self, positions: int) -> int:
        """Returns the positions of an epoch's rows, from the sum of `positions`."""
        if self.objective == "documents_random":
            return positions // self.stitch
        if self.tokens_per_row and self.length:
            return int(positions * self.length / self.tokens_per_row)  # Rows end in padding.
        if self.objective == "lm" and self.length and self.length > 1:
            return positions * self.length // (self.length - 1)  # A row ends with an end token.
        return positions

    def total(self, sizes: np.ndarray) -> int:
        """Returns the positions of the rows of an epoch, padding included."""
        return self.scaled(int(np.sum(self.positions(sizes))))

    def total_of_counts(self, documents: int, tokens: int, longest: int | None) -> int | None:
        """Returns the same from the numbers of documents and tokens; None if they do not tell it.

        Args:
            documents, tokens: all of them, without end tokens.
            longest: the tokens of the longest document, if known.
        """
        if self.objective == "chunks":
            return None
        if self.objective == "documents_random":
            return self.scaled(documents * (self.length or 0))
        if self.objective != "lm":
            return self.scaled(tokens + documents)
        whole = not self.piece or (longest is not None and longest <= self.piece)
        return self.scaled(tokens) if whole else None

    def tokens_read(self, sizes: np.ndarray, numbers: np.ndarray | int = 1) -> int:
        """Returns the tokens of documents that an epoch reads, on average.

        Args:
            sizes: lengths of documents, without end tokens.
            numbers: the number of documents of each length.
        """
        total = int(np.sum(sizes * numbers))
        if self.objective == "documents_random":
            most = np.minimum(sizes, (self.length or 0) * self.stitch) * numbers
            rows = self.total_of_counts(int(np.sum(sizes * 0 + numbers)), total, None)
            return min(int(np.sum(most)), rows or 0)
        if self.objective == "lm":
            return int(np.sum(self.positions(sizes) * numbers))
        return total

    def left_out(self, sizes: np.ndarray, numbers: np.ndarray | int = 1) -> str:
        """Returns a sentence on what an epoch leaves out of documents; "" if it reads all.

        Args:
            sizes, numbers: as for `tokens_read`.
        """
        total, read = int(np.sum(sizes * numbers)), self.tokens_read(sizes, numbers)
        if read >= total:
            return ""
        return (
            f"{self.rule()}: {read:,} of {total:,} tokens ({read / total:.1%}); "
            "objectives/lm_documents.gin reads all"
        )

    def rule(self) -> str:
        """Returns what an epoch reads of each document; "" if it reads all."""
        if self.piece:
            return (
                f"T5's lm reads one piece of at most {self.piece:,} tokens of each document in an "
                "epoch"
            )
        if self.objective == "documents_random":
            of = "each document" if self.stitch == 1 else f"each {self.stitch} documents"
            return (
                f"documents_random reads one window of at most {self.length:,} tokens of {of} in "
                "an epoch"
            )
        return ""


def of_objective(length: int | None) -> EpochSize:
    """Returns the epoch size of the objective that gin sets.

    Args:
        length: tokens of a row; None if rows are not cut.
    """
    names = row_objectives.chosen_preprocessors()
    own = [name for name in names if name in row_objectives.OBJECTIVES]
    if own:
        varies = own[0] == "lm_stream" and length and _bound(_VARY_LENGTH, False)
        tokens = segment_lengths.varied_lengths(length).expected() if varies else None
        return EpochSize(own[0], length, stitch=_bound(_STITCH, 1), tokens_per_row=tokens)
    if "select_random_chunk" not in names:
        return EpochSize("lm", length)
    return EpochSize("lm", length, _bound(_PIECE, None) or (length - 1 if length else None))


def _bound(parameter, default):
    try:
        value = gin.query_parameter(parameter)
    except ValueError:  # Not bound.
        return default
    if isinstance(value, gin.config.ConfigurableReference):  # A macro.
        value = value.scoped_configurable_fn()
    return value
