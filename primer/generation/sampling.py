"""Sampling of the next token: temperature, top-k, top-p, and one random stream per sequence.

Top-k keeps the k tokens with the highest logits (https://arxiv.org/abs/1805.04833). Top-p keeps the
fewest tokens whose probabilities at the given temperature sum to p
(https://arxiv.org/abs/1904.09751). If both are set, top-k comes first.
"""

import dataclasses

import numpy as np

from primer.common.settings import generation_settings


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a token is sampled.

    Attributes:
        temperature: divides the logits; 1 samples from the model's own distribution, 0 takes the
            best token.
        top_k: the number of best tokens to sample from; None for all.
        top_p: the probability mass of the best tokens to sample from, above 0 and up to 1; None
            for all.

    Raises:
        UsageError: a value is out of its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        generation_settings.check_sampling(self.temperature, self.top_k, self.top_p)

    def draw(self, logits: np.ndarray, rng: np.random.Generator) -> int:
        """Samples a token.

        Args:
            logits: `[tokens]`; minus infinity excludes a token.
            rng: exactly one number is drawn from it, so that a sequence depends on its own tokens
                only.
        """
        number = rng.random()
        logits = np.asarray(logits, np.float64)
        if self.temperature == 0:
            return int(np.argmax(logits))
        # Best first; equal logits in the order of their ids.
        order = np.argsort(-logits, kind="stable")[: self.top_k]
        scaled = (logits[order] - logits[order[0]]) / self.temperature
        cumulative = np.cumsum(np.exp(scaled))
        if self.top_p is not None:
            kept = np.searchsorted(cumulative, self.top_p * cumulative[-1]) + 1
            order, cumulative = order[:kept], cumulative[:kept]
        place = np.searchsorted(cumulative, number * cumulative[-1], side="right")
        return int(order[min(place, len(order) - 1)])


def sequence_rng(seed: int, prompt: int, sample: int) -> np.random.Generator:
    """Returns the random generator of one sequence, which does not depend on its batch.

    Args:
        seed: the seed of the request.
        prompt, sample: the indices of the prompt and of the sample.
    """
    return np.random.default_rng([seed, prompt, sample])
