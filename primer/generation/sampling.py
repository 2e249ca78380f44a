"""Which token comes next: temperature, the k best, the nucleus, and a stream of chance per text.

Top-k keeps the k tokens with the highest logits (https://arxiv.org/abs/1805.04833), top-p the
fewest that together have the probability p at the given temperature
(https://arxiv.org/abs/1904.09751). Both may be set: top-k comes first.
"""

import dataclasses
import math

import numpy as np

from primer.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a token is drawn.

    Attributes:
        temperature: divides the logits; 1 draws from the model's own distribution, 0 takes the
            best token.
        top_k: how many of the best tokens may be drawn; None for all.
        top_p: the probability, above 0 and up to 1, that the tokens which may be drawn have
            together; None for all.

    Raises:
        UsageError: a value out of its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self):
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UsageError(
                f"temperature = {self.temperature}: expected 0 (the best token) or a positive "
                "number; 1 is the model's own distribution"
            )
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(
                f"top_k = {self.top_k}: expected 1 or more; leave it out for all tokens"
            )
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(
                f"top_p = {self.top_p}: expected a probability above 0 and up to 1; leave it out "
                "for all tokens"
            )

    def draw(self, logits, chance) -> int:
        """Draws a token.

        Args:
            logits: `[tokens]`; minus infinity forbids a token.
            chance: a numpy Generator; exactly one number is taken from it, so that what a text
                becomes depends on its own tokens only.
        """
        number = chance.random()
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


def chance_of(seed, prompt, sample):
    """The random numbers of one text: the same for a seed, whatever else is in the batch."""
    return np.random.default_rng([seed, prompt, sample])
