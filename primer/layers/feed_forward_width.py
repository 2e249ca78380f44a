"""The width of a feed-forward layer's hidden units, which depends on the activation.

A gated unit has a matrix more than a plain one (https://arxiv.org/abs/2002.05202), and takes two
thirds of the width so that both have the same number of parameters.
"""

import gin


@gin.configurable
def feed_forward_width(activation, projection, projection_gated, d_ff_hidden=None):
    """Returns the hidden width, for `DenseReluDense.hidden_size` and the experts' `hidden_size`.

    Args:
        activation: the slot: a list of one function, or of several whose outputs are multiplied.
        projection: the width with one function.
        projection_gated: the width with several.
        d_ff_hidden: a width that holds for every activation, or None.

    Raises:
        ValueError: the width that is needed was not set; a width that is not needed may be a
            reference to `unset_size`, which raises this when it is called.
    """
    if d_ff_hidden is not None:
        return d_ff_hidden
    is_gated = isinstance(activation, (list, tuple)) and len(activation) > 1
    width = projection_gated if is_gated else projection
    return width() if callable(width) else width
