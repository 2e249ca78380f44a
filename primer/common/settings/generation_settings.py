"""Legal values of the settings of generated text."""

import math
from typing import Any

from primer.common import checks
from primer.errors import UsageError


def check_request(num_samples: Any, max_tokens: Any, seed: Any, stops: Any) -> None:
    """Raises UsageError unless the values are legal for `generate_text`; a seed of None is."""
    checks.whole_number("num_samples", num_samples)
    checks.whole_number("max_tokens", max_tokens)
    if seed is not None:
        checks.whole_number("seed", seed, least=0)
    if "" in stops:
        raise UsageError("stop = '': expected a string that ends the text")


def check_sampling(temperature: Any, top_k: Any, top_p: Any) -> None:
    """Raises UsageError unless the values are legal for `generate_text`; None is for the last two.

    Args:
        temperature: divides the logits.
        top_k: the number of best tokens to sample from.
        top_p: the probability of the best tokens to sample from.
    """
    if not (math.isfinite(temperature) and temperature >= 0):
        raise UsageError(
            f"temperature = {temperature}: expected 0 (the best token) or a positive number; 1 is "
            "the model's own distribution"
        )
    if top_k is not None and top_k < 1:
        raise UsageError(f"top_k = {top_k}: expected 1 or more; leave it out for all tokens")
    if top_p is not None and not 0 < top_p <= 1:
        raise UsageError(
            f"top_p = {top_p}: expected a probability above 0 and up to 1; leave it out for all "
            "tokens"
        )
