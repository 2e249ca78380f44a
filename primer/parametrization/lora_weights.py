"""The weights of LoRA outside a graph: their names, and the product with which they merge.

Beside a weight `.../q` a checkpoint has `.../q_lora_a` and `.../q_lora_b`. Merged weights are those
of the model without LoRA: W + (alpha / rank) A B (https://arxiv.org/abs/2106.09685, section 4.1).
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from primer.errors import UsageError

A, B = "_lora_a", "_lora_b"


def is_factor(name: str) -> bool:
    """Returns whether a variable is a factor A or B, by its name."""
    return name.endswith((A, B))


def wrapped(names: Iterable[str]) -> list[str]:
    """Returns the names of the weights that have factors among the names of a checkpoint, sorted.

    Raises:
        UsageError: a weight has one of its two factors only, or a factor has no weight.
    """
    names = set(names)
    found = {name[: -len(A)] for name in names if is_factor(name)}
    for name in sorted(found):
        missing = {name, name + A, name + B} - names
        if missing:
            raise UsageError(
                f"the checkpoint has a part of the LoRA factors of {name} and lacks "
                f"{', '.join(sorted(missing))}; name another one"
            )
    return sorted(found)


def default_alpha(rank: int) -> int:
    """Returns the alpha that a rank has where none is set: 2 * rank, a factor 2 of the product."""
    return 2 * rank


def alpha_of_record(record: Mapping[str, Any]) -> float | None:
    """Returns the alpha that a model directory records (`primer.json`); None without LoRA.

    Args:
        record: the record (`model_directory.read_record`).
    """
    configuration = record.get("configuration", {})
    rank = configuration.get("lora.rank")
    if not rank:
        return None
    alpha = configuration.get("lora.alpha")
    return float(default_alpha(rank) if alpha is None else alpha)


def product(
    shape: tuple[int, ...], a: np.ndarray, b: np.ndarray, alpha: float | None = None
) -> np.ndarray:
    """Returns (alpha / rank) A B in the shape of its weight, float32.

    Args:
        shape: the weight's, `[stacked..., inputs..., outputs...]`; stacked are experts, ensembles.
        a: `[stacked..., inputs..., rank]`.
        b: `[stacked..., rank, outputs...]`.
        alpha: the numerator; None: the default of the rank.

    Raises:
        UsageError: the shapes do not belong together.
    """
    rank = a.shape[-1] if a.ndim else 0
    stacked = a.ndim + b.ndim - 2 - len(shape)
    inputs = a.ndim - 1 - stacked
    expected_a = (*shape[: stacked + inputs], rank)
    expected_b = (*shape[:stacked], rank, *shape[stacked + inputs :])
    if stacked < 0 or inputs < 1 or (a.shape, b.shape) != (expected_a, expected_b):
        raise UsageError(
            f"LoRA factors of shapes {list(a.shape)} and {list(b.shape)} do not belong to a weight "
            f"of shape {list(shape)}"
        )
    scale = (default_alpha(rank) if alpha is None else alpha) / rank
    left = a.astype(np.float32).reshape(math.prod(shape[:stacked]), -1, rank)
    right = b.astype(np.float32).reshape(math.prod(shape[:stacked]), rank, -1)
    return np.float32(scale) * np.matmul(left, right).reshape(shape)


def merged(weights: Mapping[str, np.ndarray], alpha: float | None = None) -> dict[str, np.ndarray]:
    """Returns the weights of the model without LoRA, in which the products are added.

    Args:
        weights: {name in a checkpoint: value}; without LoRA they are returned as they are.
        alpha: that of the run (`alpha_of_record`, or `lora.settings().alpha`); None: the default of
            the rank.

    Returns:
        The weights without factors; those that had some keep their type.

    Raises:
        UsageError: factors are missing, or of another shape.
    """
    result = {name: value for name, value in weights.items() if not is_factor(name)}
    for name in wrapped(weights):
        value = np.asarray(weights[name])
        added = product(value.shape, weights[name + A], weights[name + B], alpha)
        result[name] = (value.astype(np.float32) + added).astype(value.dtype)
    return result
