"""An extra logit in the softmax of attention: a key without a value, which a query may prefer.

Mesh-TensorFlow (https://arxiv.org/abs/1811.02084) and, with e = 0, GShard
(https://arxiv.org/abs/2006.16668; Lingvo's `attention_extra_logit`). With logits l `[batch, heads,
length, memory_length]`, bias and mask included,

    weights = exp(l) / (exp(e) + sum over memory_length of exp(l)),

so that the weights of a query sum up to less than 1. The number e is no variable. It is the
argument `extra_logit` of Mesh-TensorFlow's attention, which a layer's `attention_kwargs` pass on.
"""

import math
from typing import Any

from primer.common.class_names import class_name


def check(layer: Any) -> None:
    """Checks the setting of the slot attention_extra_logit.

    Args:
        layer: a MultiHeadAttention.

    Raises:
        ValueError: it is no finite number, or `attention_kwargs` set another one.
    """
    value, name = layer.extra_logit, class_name(layer)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(
            f"{name}.extra_logit = {value!r}: expected a number, such as GShard's 0.0, or None for "
            "a softmax over the keys alone"
        )
    other = layer.attention_kwargs.get("extra_logit")
    if other is not None and other != value:
        raise ValueError(
            f"{name}.extra_logit = {value!r} and attention_kwargs has extra_logit = {other!r}: "
            "set attention_extra_logit alone"
        )


def add_to_arguments(layer: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments of Mesh-TensorFlow's attention with the layer's extra logit.

    Args:
        layer: a MultiHeadAttention.
        kwargs: the result of SelfAttention.attention_kwargs_from_context.
    """
    return kwargs if layer.extra_logit is None else {**kwargs, "extra_logit": layer.extra_logit}
