"""Tables with more rows than the checkpoint's: larger vocabularies, and more learned positions.

The checkpoint's rows are kept exactly. A further row of the vocabulary is the mean of these, as is
usual (Hewitt, "Initializing New Word Embeddings for Pretrained Language Models", 2021; Hugging
Face's `resize_token_embeddings`): with random rows a new token, which the model has never seen,
could get any probability. Those that only padded the smaller vocabulary count as new.
"""

import dataclasses
from typing import Any

import mesh_tensorflow as mtf
import numpy as np

from primer.common.sharding import stored_weights
from primer.runtime.training.starting import settings

VOCABULARY, POSITIONS = "vocabulary", "positions"
# Of the gates of primer_full, one for each position.
_GATED = "gated_length"


@dataclasses.dataclass(frozen=True)
class Growth:
    """How a weight grows.

    Attributes:
        axis: the dimension of its rows.
        kept: the number of rows of the checkpoint that are kept.
        rows: how many there are then.
        is_mean: whether the others are the mean of these, and not initial values.
    """

    axis: int
    kept: int
    rows: int
    is_mean: bool

    def value(self, old: np.ndarray, initial: np.ndarray) -> np.ndarray:
        """Returns the value of the weight.

        Args:
            old: the checkpoint's value.
            initial: the initial value.
        """
        grown = np.moveaxis(np.array(initial), self.axis, 0)
        rows = np.moveaxis(np.asarray(old), self.axis, 0)[: self.kept].astype(grown.dtype)
        grown[: self.kept] = rows
        if self.is_mean:
            grown[self.kept :] = rows.mean(axis=0, dtype=np.float64)
        return np.moveaxis(grown, 0, self.axis)


def tables(model: Any, graph: mtf.Graph) -> dict[str, tuple[int, str]]:
    """Returns the weights of a model that may grow.

    Args:
        model: a Mesh-TF model.
        graph: the graph of its forward pass.

    Returns:
        {name: (the dimension of the rows, VOCABULARY or POSITIONS)}; of a vocabulary in clusters,
        the last one alone.
    """
    found = {}
    positions = (getattr(getattr(model, "max_length_dim", None), "name", None), _GATED)
    size = getattr(model, "output_vocab_size_unpadded", None) or 0
    for variable in graph.trainable_variables:
        names = stored_weights.logical_shape(variable.shape.dims).dimension_names
        of_words = [axis for axis, name in enumerate(names) if name.startswith("vocab")]
        of_positions = [axis for axis, name in enumerate(names) if name in positions]
        is_last = getattr(variable, "vocabulary_ids", (0, size))[1] >= size
        if len(of_words) == 1 and is_last:
            found[variable.name] = of_words[0], VOCABULARY
        elif len(of_positions) == 1 and not of_words:
            found[variable.name] = of_positions[0], POSITIONS
    return found


def of_weight(
    table: tuple[int, str], old: list[int], new: list[int], used: int | None, grow: str
) -> Growth | None:
    """Returns how a weight grows, or None where its other dimensions differ too, or it shrinks.

    Args:
        table: its entry of `tables`.
        old, new: its shapes in the checkpoint and here.
        used: the ids of the checkpoint's vocabulary without padding; None: not known.
        grow: a value of settings.GROWTH.
    """
    axis, kind = table
    others = [sizes[:axis] + sizes[axis + 1 :] for sizes in (old, new)]
    if len(old) != len(new) or others[0] != others[1] or old[axis] > new[axis]:
        return None
    is_words = kind == VOCABULARY
    kept = min(old[axis], used) if is_words and used else old[axis]
    return Growth(axis, kept, new[axis], is_words and grow == settings.MEAN)
