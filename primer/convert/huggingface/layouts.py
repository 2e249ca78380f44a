"""How another system stores weights: as one array what we have in several, or another way round.

A Linear of PyTorch stores its matrix `[out, in]`, GPT-2's Conv1D `[in, out]` as we do.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Layout:
    """A conversion of one array to those of our variables, and back.

    Attributes:
        split: converts their array to ours.
        merge: converts ours to theirs.
    """

    split: Callable[[np.ndarray], Sequence[np.ndarray]]
    merge: Callable[[Sequence[np.ndarray]], np.ndarray]


SAME = Layout(lambda array: [array], lambda parts: parts[0])
TRANSPOSED = Layout(lambda array: [array.T], lambda parts: parts[0].T)


def side_by_side(number: int) -> Layout:
    """`[..., number * n]` as arrays `[..., n]`: GPT-2's q, k and v."""
    return Layout(
        lambda array: np.split(array, number, axis=-1),
        lambda parts: np.concatenate(parts, axis=-1),
    )


def below_each_other(number: int) -> Layout:
    """A Linear's `[number * out, in]` as matrices `[in, out]`: Transformer-XL's q, k and v."""
    return Layout(
        lambda array: [part.T for part in np.split(array, number, axis=0)],
        lambda parts: np.concatenate([part.T for part in parts], axis=0),
    )


def of_each_head(heads: int) -> Layout:
    """A vector of `[heads, 3, d_kv]` as three of `[heads, d_kv]`: GPT-NeoX's biases."""
    return Layout(
        lambda array: _split_heads(array, heads), lambda parts: _merge_heads(parts, heads)
    )


def of_each_head_transposed(heads: int) -> Layout:
    """A Linear's `[heads * 3 * d_kv, in]` as three matrices `[in, heads * d_kv]`."""
    return Layout(
        lambda array: _split_heads(array.T, heads), lambda parts: _merge_heads(parts, heads).T
    )


def without(number: float) -> Layout:
    """A scale from which a number is left out: Gemma's norms store the scale minus 1."""
    return Layout(lambda array: [array + number], lambda parts: parts[0] - number)


def _split_heads(array: np.ndarray, heads: int) -> list[np.ndarray]:
    parts = array.reshape(*array.shape[:-1], heads, 3, -1)
    return [parts[..., i, :].reshape(*array.shape[:-1], -1) for i in range(3)]


def _merge_heads(parts: Sequence[np.ndarray], heads: int) -> np.ndarray:
    split = [part.reshape(*part.shape[:-1], heads, -1) for part in parts]
    return np.stack(split, axis=-2).reshape(*parts[0].shape[:-1], -1)
