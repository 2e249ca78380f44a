"""How the tokens of an evaluation were distributed over experts: load, entropy, dropped tokens.

As `primer.layers.experts.statistics` in training, for each router, over all tokens that were read,
those that are only context included:

    load            the fraction of the tokens' choices that select each expert
    entropy         of the router's distribution, the mean over tokens, in nats
    dropped_tokens  the fraction of the tokens that chose no expert
"""

from collections.abc import Sequence
from typing import Any

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from primer.common import graph_marks


class RoutingStatistics:
    """The routers of the default graph; made before its Mesh-TF graph is lowered."""

    def __init__(self) -> None:
        routers = graph_marks.routing()
        self._names = [name for name, *_ in routers]
        self._sizes = [size for _, size, *_ in routers]
        self._tensors = [
            mtf.anonymize(t) for *_, index, entropy in routers for t in (index, entropy)
        ]
        self.fetches: list[tf.Tensor] = []
        self.reset()

    def export(self, lowering: mtf.Lowering) -> None:
        """Sets `fetches`, the tensors that `add` takes."""
        self.fetches = [lowering.export_to_tf_tensor(t) for t in self._tensors]

    def reset(self) -> None:
        """Forgets all tokens."""
        self._tokens = 0
        self._counts = [np.zeros(size, np.int64) for size in self._sizes]
        self._sums = np.zeros([len(self._sizes), 2])  # Entropy, dropped tokens.

    def add(self, values: Sequence[np.ndarray], real: np.ndarray) -> None:
        """Counts the tokens of a batch.

        Args:
            values: those of `fetches`: for each router index `[..., choices]` and entropy `[...]`.
            real: bool `[rows, length]`, False for padding.
        """
        self._tokens += int(real.sum())
        for number, size in enumerate(self._sizes):
            index, entropy = values[2 * number : 2 * number + 2]
            index = index.reshape([real.size, -1])[real.reshape(-1)]
            entropy = entropy.reshape(-1)[real.reshape(-1)]
            self._counts[number] += np.bincount(index[index >= 0], minlength=size)
            self._sums[number] += entropy.sum(), (index < 0).all(-1).sum()

    def as_result(self) -> dict[str, dict[str, Any]]:
        """Returns {router: {statistic: number, or numbers of the experts}} of the tokens so far."""
        if not self._tokens:
            return {}
        means = self._sums / self._tokens
        return {
            name: {
                "load": [round(float(c / max(counts.sum(), 1)), 6) for c in counts],
                "entropy": float(entropy),
                "dropped_tokens": float(dropped),
            }
            for name, counts, (entropy, dropped) in zip(
                self._names, self._counts, means, strict=True
            )
        }
