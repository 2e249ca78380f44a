"""Windowed self-attention: MultiHeadAttention of the kind "local" by its earlier name.

For gin files that have `attention = @WindowedSelfAttention`, whose window is `radius`. The slots
`attention_kinds` and `window` give the same layer.
"""

from typing import Any

import gin

from primer.common import checks
from primer.layers import variables
from primer.layers.attention.multi_head import MultiHeadAttention


# A model has the same variables with a window and without, so that the checkpoint of one loads into
# the other. (Mesh-TF's LocalSelfAttention fails in every mode, so that no checkpoint has its name.)
# For the same reason layers of SelfAttention beside it share its "bias_shared".
@variables.stored_under("SelfAttention")
@gin.configurable
class WindowedSelfAttention(MultiHeadAttention):
    """Causal self-attention within a window; settings of `MultiHeadAttention` apply too."""

    own_kind = "local"

    def __init__(
        self,
        radius: int = 128,
        block_length: int | None = None,
        kind: str = "local",
        **kwargs: Any,
    ) -> None:
        """Makes a layer.

        Args:
            radius: how many keys a query sees, including its own position's; 1 or more. A radius
                of the length or more gives attention without a window.
            block_length: positions per block in training and evaluation. None chooses it; with the
                length of the text, or more, there are no blocks.
            kind: as for MultiHeadAttention; attention_kinds sets it.
            **kwargs: as for MultiHeadAttention, without `window`. Dropout noise that is shared
                along the length is shared within a block.

        Raises:
            ValueError: a setting that this layer does not support.
        """
        checks.whole_number(
            "WindowedSelfAttention.radius",
            radius,
            expected="how many keys a query sees, its own position's included",
            error=ValueError,
        )
        super().__init__(kind=kind, window=radius, block_length=block_length, **kwargs)
        self.radius = radius
