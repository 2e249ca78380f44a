"""Options of a ladder that are numbers with commas between them: learning rates, seeds."""

import math
from collections.abc import Callable

from primer.errors import UsageError


def rates(text: str | None) -> list[float]:
    """Returns the numbers of --rates; none for None.

    Raises:
        UsageError: one is no number above 0, or there twice.
    """
    if text is None:
        return []
    expected = "learning rates, as 1e-3,3e-3"
    return _numbers("--rates", text, expected, lambda rate: rate > 0)


def seeds(text: str) -> list[int]:
    """Returns the numbers of --seeds.

    Raises:
        UsageError: one is no whole number of 0 or more, or there twice.
    """
    expected = "whole numbers, as 1,2,3"
    found = _numbers("--seeds", text, expected, lambda seed: seed >= 0 and seed == int(seed))
    return [int(seed) for seed in found]


def _numbers(
    option: str, text: str, expected: str, is_legal: Callable[[float], bool]
) -> list[float]:
    found: list[float] = []
    for part in text.split(","):
        try:
            number = float(part)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or not is_legal(number) or number in found:
            raise UsageError(f"{option} {text}: expected {expected}, each once")
        found.append(number)
    return found
