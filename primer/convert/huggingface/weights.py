"""A weight of another system as our variables, and whole models of them, both ways.

Fused projections are split, which keeps the sums of squares: `Weight.norm` is that of the fused
gradient.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from primer.convert.huggingface.layouts import SAME, Layout
from primer.errors import UsageError

EMBEDDING, OUTPUT = "transformer/embedding", "transformer/logits/kernel"
# Our tables of tokens, and the axis of the tokens: ours may have rows that pad it.
_TABLES = {EMBEDDING: 0, OUTPUT: 1}
THEIR_OUTPUT = "lm_head.weight"
# Buffers of older versions: masks and the wavelengths of rotary positions.
_BUFFERS = (".attn.bias", ".masked_bias", ".attention.bias", "inv_freq")
_MOST_NAMES = 4


@dataclasses.dataclass(frozen=True)
class Weight:
    """A weight of Hugging Face's model.

    Attributes:
        theirs: its name.
        ours: the names of our variables, in the order of `layout`.
        layout: how the array becomes those of our variables.
    """

    theirs: str
    ours: tuple[str, ...]
    layout: Layout = SAME

    def norm(self, norms: Mapping[str, np.ndarray]) -> float:
        """Returns the L2 norm of the whole from those of our variables."""
        return float(np.sqrt(sum(float(norms[name]) ** 2 for name in self.ours)))


def converted(
    weights: Sequence[Weight], state: Mapping[str, np.ndarray], rows: int
) -> dict[str, np.ndarray]:
    """Returns {our variable: array}, tables of tokens padded with zeros to `rows`.

    Args:
        weights: all weights of the model.
        state: Hugging Face's names -> arrays.
        rows: our number of token ids.

    Raises:
        UsageError: a weight is missing, or the state has one that the model has not.
    """
    own = {name for name in state if not name.endswith(_BUFFERS)}
    missing = [weight.theirs for weight in weights if weight.theirs not in own]
    if missing:
        raise UsageError(f"the weights have no {_listed(missing)}, which this model needs")
    found: dict[str, np.ndarray] = {}
    for weight in weights:
        parts = weight.layout.split(np.asarray(state[weight.theirs]))
        found.update(zip(weight.ours, parts, strict=True))
    left = own - {weight.theirs for weight in weights}
    if OUTPUT not in found and THEIR_OUTPUT in left:  # A tied output is stored once more.
        left.remove(THEIR_OUTPUT)
        if not np.array_equal(state[THEIR_OUTPUT], found[EMBEDDING]):
            raise UsageError(
                f"{THEIR_OUTPUT} is not the embedding, which the configuration calls tied "
                "(tie_word_embeddings)"
            )
    if left:
        raise UsageError(f"the weights have {_listed(sorted(left))}, which this model has not")
    for name, axis in _TABLES.items():
        if name in found:
            found[name] = _padded(found[name], axis, rows)
    return {name: np.ascontiguousarray(array, np.float32) for name, array in found.items()}


def _padded(table: np.ndarray, axis: int, rows: int) -> np.ndarray:
    missing = rows - table.shape[axis]
    return np.pad(table, [(0, missing if i == axis else 0) for i in range(2)])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def exported(
    weights: Sequence[Weight], variables: Mapping[str, np.ndarray], rows: int
) -> dict[str, np.ndarray]:
    """Returns {Hugging Face's name: array}, tables of tokens without the rows that pad them.

    Args:
        weights: all weights of the model.
        variables: our names -> arrays.
        rows: Hugging Face's number of token ids.

    Raises:
        UsageError: the variables are not those of the weights.
    """
    left = set(variables)
    found = {}
    for weight in weights:
        missing = [name for name in weight.ours if name not in variables]
        if missing:
            raise UsageError(f"the checkpoint has no {_listed(missing)}, which {weight.theirs} is")
        parts = [_cut(name, variables[name], rows) for name in weight.ours]
        found[weight.theirs] = np.ascontiguousarray(weight.layout.merge(parts))
        left -= set(weight.ours)
    if left:
        raise UsageError(f"{_listed(sorted(left))} of the checkpoint has no place in the export")
    return found


def _cut(name: str, array: np.ndarray, rows: int) -> np.ndarray:
    return array.take(range(rows), axis=_TABLES[name]) if name in _TABLES else array
