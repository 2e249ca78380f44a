"""The clusters of a vocabulary, which is sorted by frequency: frequent words, then rarer ones.

Cutoffs [c_1, ..., c_n] make n + 1 clusters of ids: [0, c_1), [c_1, c_2), ..., [c_n, vocabulary).
The tables of cluster i, counted from 0, have the width d_embed // div_val**i.

A table's rows are padded to a multiple of 128, as Mesh-TensorFlow pads a vocabulary, so that every
mesh that splits the vocabulary splits each table too, and checkpoints do not depend on the mesh.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import mesh_tensorflow as mtf

from primer.common import checks

NAME = "AdaptiveEmbedding"
# Mesh-TensorFlow's default `vocab_divisor` of Unitransformer.
_MULTIPLE = 128


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The ids from `start` to below `end`, of the padded vocabulary.

    Attributes:
        suffix: what the names of its variables end with: "_0", "_1", ...; "" of a single cluster.
        start, end: ids.
        rows: the dimension of its tables' rows, padded.
        width: the width of its tables.
    """

    suffix: str
    start: int
    end: int
    rows: mtf.Dimension
    width: int

    def used(self, vocabulary_size: int) -> int:
        """Returns how many of its ids a vocabulary has that is not padded."""
        return min(self.end, vocabulary_size) - self.start


def make(
    cutoffs: Sequence[int], vocab_dim: mtf.Dimension, d_embed: int, div_val: int
) -> list[Cluster]:
    """Returns the clusters of a vocabulary.

    Args:
        cutoffs: the first id of each cluster but the first.
        vocab_dim: the padded vocabulary; the last cluster ends with it.
        d_embed: the width of the first cluster.
        div_val: the factor by which each cluster is narrower than the one before it.

    Raises:
        ValueError: a setting has no such value.
    """
    check_cutoffs(cutoffs, vocab_dim.size)
    checks.whole_number(f"{NAME}.d_embed", d_embed, error=ValueError)
    checks.whole_number(f"{NAME}.div_val", div_val, error=ValueError)
    ends = [*cutoffs, vocab_dim.size]
    if d_embed // div_val ** len(cutoffs) == 0:
        raise ValueError(
            f"{NAME}.div_val = {div_val}: the last of {len(ends)} clusters would have the width "
            f"{d_embed} // {div_val}**{len(cutoffs)} = 0; set a smaller div_val or fewer cutoffs"
        )
    starts = [0, *cutoffs]
    return [
        Cluster(
            suffix=f"_{i}" if len(ends) > 1 else "",
            start=start,
            end=end,
            rows=mtf.Dimension(vocab_dim.name, -(-(end - start) // _MULTIPLE) * _MULTIPLE),
            width=d_embed // div_val**i,
        )
        for i, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def check_cutoffs(cutoffs: Any, vocabulary_size: int) -> None:
    """Raises ValueError unless cutoffs are whole numbers that ascend within the vocabulary."""
    is_list = isinstance(cutoffs, (list, tuple))
    if is_list and all(isinstance(c, int) and not isinstance(c, bool) for c in cutoffs):
        bounds = [0, *cutoffs, vocabulary_size]
        if all(left < right for left, right in zip(bounds, bounds[1:])):
            return
    raise ValueError(
        f"{NAME}.cutoffs = {cutoffs!r}: expected a list of whole numbers that ascend, above 0 and "
        f"below {vocabulary_size:,}, the size of the vocabulary"
    )


def flags(setting: str, value: Any, number: int) -> list[bool]:
    """Returns a flag for each cluster.

    Args:
        setting: the setting's name, as the user writes it.
        value: a flag for all clusters, or a list with one for each.
        number: the number of clusters.

    Raises:
        ValueError: the value is neither.
    """
    if isinstance(value, bool):
        return [value] * number
    is_list = isinstance(value, (list, tuple)) and all(isinstance(flag, bool) for flag in value)
    if not is_list or len(value) != number:
        raise ValueError(
            f"{setting} = {value!r}: expected True or False, or a list with one of them for each "
            f"of the {number} clusters (one more than cutoffs)"
        )
    return list(value)
