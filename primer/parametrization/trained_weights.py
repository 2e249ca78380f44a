"""Which weights training changes; all others are frozen: no gradient, no state of an optimizer.

Without settings all weights are trained, and with LoRA its factors alone. A frozen weight is a
weight in every other respect: checkpoints have it, and evaluation reads it.
"""

import re
from collections.abc import Iterable, Sequence

import gin

from primer.errors import UsageError
from primer.parametrization import lora, lora_weights, weight_patterns

_TRAINABLE, _FROZEN = "trained_weights.trainable", "trained_weights.frozen"


@gin.configurable(module="primer")
def trained_weights(
    trainable: Sequence[str] | None = None, frozen: Sequence[str] = ()
) -> tuple[tuple[re.Pattern, ...] | None, tuple[re.Pattern, ...]]:
    """Returns the expressions that say which weights are trained.

    Args:
        trainable: regular expressions that are searched in the names of weights: those that match
            one are trained, and the factors of LoRA. None: all weights; with LoRA its factors
            alone.
        frozen: regular expressions of weights that are not trained, whatever `trainable` says.

    Raises:
        UsageError: a setting is no list of regular expressions.
    """
    chosen = None if trainable is None else tuple(weight_patterns.compiled(_TRAINABLE, trainable))
    return chosen, tuple(weight_patterns.compiled(_FROZEN, frozen))


def is_trained(name: str) -> bool:
    """Returns whether training changes a weight, by its name in a checkpoint."""
    trainable, frozen = trained_weights()
    if any(pattern.search(name) for pattern in frozen):
        return False
    if lora_weights.is_factor(name):
        return True
    if trainable is None:
        return lora.settings() is None
    return any(pattern.search(name) for pattern in trainable)


def check(names: Iterable[str]) -> None:
    """Refuses expressions that match no weight, and a model of which nothing is trained.

    Args:
        names: the names of all weights.

    Raises:
        UsageError: as said.
    """
    names = list(names)
    trainable, frozen = trained_weights()
    for setting, patterns in ((_TRAINABLE, trainable or ()), (_FROZEN, frozen)):
        for pattern in patterns:
            weight_patterns.require_match(setting, pattern, names)
    if names and not any(map(is_trained, names)):
        raise UsageError(
            f"{_TRAINABLE} and {_FROZEN} leave no weight to train: leave out one of them"
        )
