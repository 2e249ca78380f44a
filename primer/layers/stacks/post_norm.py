"""A layer stack that normalizes the residual stream after every layer.

The Transformer of 2017 (https://arxiv.org/abs/1706.03762), 3.1, "post-LN":

    y = norm(x + dropout(layer(mask(x)))),     [batch, length, d_model] -> [batch, length, d_model]

without a norm at the end of the stack: the last layer's is there. Training needs a warmup of the
learning rate (https://arxiv.org/abs/2002.04745).
"""

from collections.abc import Sequence
from typing import Any

import gin
from mesh_tensorflow.transformer import transformer

from primer.layers.stacks import sublayer_order
from primer.layers.stacks.pre_norm import PreNormLayerStack


@gin.configurable
class PostNormLayerStack(PreNormLayerStack):
    """A stack with norms behind the residual connections.

    The sublayers are set as `LayerStack.*`: the norms before the call move directly behind
    `sublayer_residual`, and those of `LayerStack.sublayers_final` are left out.
    """

    def __init__(self, layers: Sequence[transformer.TransformerLayer], **kwargs: Any) -> None:
        """Makes a stack.

        Args:
            layers: a list of TransformerLayer.
            **kwargs: as for PreNormLayerStack.

        Raises:
            ValueError: the sublayers have no norm before exactly one `sublayer_call_layer`, or not
                exactly one `sublayer_residual`.
        """
        super().__init__(layers, **kwargs)
        self._sublayers_per_layer = sublayer_order.move_norms_behind(
            self._sublayers_per_layer, sublayer_order.RESIDUAL, "PostNormLayerStack"
        )
        final = self._sublayers_final or []
        self._sublayers_final = [s for s in final if not sublayer_order.is_norm(s)]
