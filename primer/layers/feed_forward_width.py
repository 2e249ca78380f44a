"""The width of a feed-forward layer's hidden units, which depends on the activation.

A gated unit has one matrix more than a plain one (https://arxiv.org/abs/2002.05202). With two
thirds of the width it has the same number of parameters.
"""

from collections.abc import Callable
from typing import Any

import gin


@gin.configurable
def feed_forward_width(
    activation: Any,
    projection: int | Callable[[], int],
    projection_gated: int | Callable[[], int],
    d_ff_hidden: int | None = None,
) -> int:
    """Returns the hidden width, for `DenseReluDense.hidden_size` and the experts' `hidden_size`.

    Args:
        activation: the slot: a list of one function, or of several whose outputs are multiplied.
        projection: the width with one function.
        projection_gated: the width with several.
        d_ff_hidden: a width for every activation, or None.

    Raises:
        ValueError: the selected width is not set. An unset width is a reference to `unset_size`,
            which raises this error when it is called; the other width may be unset.
    """
    if d_ff_hidden is not None:
        return d_ff_hidden
    is_gated = isinstance(activation, (list, tuple)) and len(activation) > 1
    width = projection_gated if is_gated else projection
    return width() if callable(width) else width
