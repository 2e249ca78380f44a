"""A layer stack that normalizes before attention layers and after feed-forward layers.

Primer (https://arxiv.org/abs/2109.08668), "pre- and post-normalization". With the sublayers
`[norm, mask, call, dropout, residual]` of `LayerStack.sublayers_per_layer`,

    attention      y = x + dropout(attention(mask(norm(x))))
    feed-forward   y = x + dropout(norm(feed_forward(mask(x))))

`[batch, length, d_model] -> [batch, length, d_model]`. The class of each layer decides, not its
index, so that any block works: a decoder with attention to an encoder, experts in every fourth
layer, two feed-forward layers in a row.

`PrePostNormLayerStack.post_norm_layers = "all"` normalizes every layer's output instead of its
input, y = x + dropout(norm(layer(mask(x)))): OLMo 2 (https://arxiv.org/abs/2501.00656), 2.1.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gin
from mesh_tensorflow.transformer import moe, transformer, transformer_layers

from primer.layers.experts import MixtureOfExperts, MixtureOfExperts2D
from primer.layers.stacks import sublayer_order
from primer.layers.stacks.pre_norm import PreNormLayerStack

ALL = "all"
FEED_FORWARD = (
    transformer_layers.DenseReluDense,
    MixtureOfExperts,
    MixtureOfExperts2D,
    moe.MoE1D,
    moe.MoE2D,
)


@gin.configurable
class PrePostNormLayerStack(PreNormLayerStack):
    """A stack that normalizes after the layers of the classes in `post_norm_layers`.

    Everything else, including the sublayers, is set as `LayerStack.*`. A norm is a sublayer with
    "norm" in its name. The norms before the call move directly behind it.
    """

    def __init__(
        self,
        layers: Sequence[transformer.TransformerLayer],
        post_norm_layers: Sequence[type] | str = FEED_FORWARD,
        **kwargs: Any,
    ) -> None:
        """Makes a stack.

        Args:
            layers: a list of TransformerLayer.
            post_norm_layers: layer classes (and their subclasses) to normalize after; by default
                the feed-forward layers, dense or of experts. "all": every layer.
            **kwargs: as for PreNormLayerStack.

        Raises:
            ValueError: `post_norm_layers` is neither "all" nor a list of classes, or the sublayers
                have no norm before exactly one `sublayer_call_layer`.
        """
        super().__init__(layers, **kwargs)
        if post_norm_layers == ALL:
            post_norm_layers = [transformer.TransformerLayer]
        if isinstance(post_norm_layers, str) or not all(
            isinstance(layer, type) for layer in post_norm_layers
        ):
            raise ValueError(
                f"PrePostNormLayerStack.post_norm_layers = {post_norm_layers!r}: expected "
                '"all", or a list of layer classes such as [@DenseReluDense]'
            )
        self._post_norm_layers = tuple(post_norm_layers)
        self._sublayers_post_norm = sublayer_order.move_norms_behind(
            self._sublayers_per_layer, sublayer_order.CALL, "PrePostNormLayerStack"
        )

    def _sublayers_of(self, layer: transformer.TransformerLayer) -> Sequence[Callable]:
        post_norm = isinstance(layer, self._post_norm_layers)
        return self._sublayers_post_norm if post_norm else super()._sublayers_of(layer)
