"""A small set of weights with gradients of many steps, for comparisons with other libraries."""

import numpy as np

STEPS = 20
# A token that no batch has (its gradient is 0) shows optimizers that skip such rows.
UNSEEN_ROW = 3
DIMS = {
    "embedding": ("vocab", "d_model"),
    "layer/wi/kernel": ("d_model", "d_ff"),
    "layer/wo/kernel": ("d_ff", "d_model"),
    "layer/q": ("d_model", "heads"),
    "layer/norm/scale": ("d_model",),
    "layer/wi/bias": ("d_ff",),
}
VECTORS = [name for name, dims in DIMS.items() if len(dims) == 1]
SIZES = {"vocab": 12, "d_model": 8, "d_ff": 16, "heads": 8}


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Returns {name: initial value}, of several scales."""
    random = np.random.RandomState(seed)
    return {
        name: (random.normal(size=[SIZES[dim] for dim in dims]) * 10.0 ** -(number % 3)).astype("f")
        for number, (name, dims) in enumerate(DIMS.items())
    }


def gradients(seed: int = 1, steps: int = STEPS) -> list[dict[str, np.ndarray]]:
    """Returns {name: gradient} of each step: correlated, of sizes from 1e-4 to 1."""
    random = np.random.RandomState(seed)
    found = []
    for step in range(steps):
        values = {}
        for number, (name, dims) in enumerate(DIMS.items()):
            value = random.normal(size=[SIZES[dim] for dim in dims]) + 0.3
            values[name] = (value * 10.0 ** -(number + step % 2 - 1)).astype("f")
        values["embedding"][UNSEEN_ROW] = 0.0
        found.append(values)
    return found


def rates(steps: int = STEPS) -> list[float]:
    """Returns a learning rate for each step, no two of which are equal."""
    return [0.01 * (1.0 + step) / steps for step in range(steps)]
