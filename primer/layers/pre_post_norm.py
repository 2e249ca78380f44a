"""A layer stack that normalizes before attention layers and after feed-forward layers.

Primer (https://arxiv.org/abs/2109.08668), "pre- and post-normalization". With the sublayers
`[norm, mask, call, dropout, residual]` of `LayerStack.sublayers_per_layer`,

    attention      y = x + dropout(attention(mask(norm(x))))
    feed-forward   y = x + dropout(norm(feed_forward(mask(x))))

`[batch, length, d_model] -> [batch, length, d_model]`. The class of each layer decides, not its
index, so that any block works: a decoder with attention to an encoder, experts in every fourth
layer, two feed-forward layers in a row.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gin
import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import moe, transformer, transformer_layers

from primer.common.class_names import class_name
from primer.layers.experts import MixtureOfExperts, MixtureOfExperts2D

FEED_FORWARD = (
    transformer_layers.DenseReluDense,
    MixtureOfExperts,
    MixtureOfExperts2D,
    moe.MoE1D,
    moe.MoE2D,
)


@gin.configurable
class PrePostNormLayerStack(transformer.LayerStack):
    """A LayerStack that normalizes after the layers of the classes in `post_norm_layers`.

    Everything else, including the sublayers, is set as `LayerStack.*`. A norm is a sublayer with
    "norm" in its name. The norms before the call move directly behind it.
    """

    def __init__(
        self,
        layers: Sequence[transformer.TransformerLayer],
        post_norm_layers: Sequence[type] = FEED_FORWARD,
        **kwargs: Any,
    ) -> None:
        """Makes a stack.

        Args:
            layers: a list of TransformerLayer.
            post_norm_layers: layer classes (and their subclasses) to normalize after; by default
                the feed-forward layers, dense or of experts.
            **kwargs: as for LayerStack.

        Raises:
            ValueError: the sublayers have no norm before exactly one `sublayer_call_layer`.
        """
        super().__init__(layers, **kwargs)
        self._post_norm_layers = tuple(post_norm_layers)
        self._sublayers_post_norm = move_norms_behind_call(self._sublayers_per_layer or [])

    def _layer_fn(
        self,
        x: mtf.Tensor,
        layer: transformer.TransformerLayer,
        context: transformer.Context,
    ) -> mtf.Tensor:
        context.current_layer = layer
        context.current_layer_input = x
        post_norm = isinstance(layer, self._post_norm_layers)
        sublayers = self._sublayers_post_norm if post_norm else self._sublayers_per_layer
        y = self._call_sublayers(sublayers, x, context)  # [batch, length, d_model]
        if y.shape != x.shape:
            raise ValueError(
                f"{class_name(layer)} returned {y.shape} for an input of {x.shape}: "
                "a layer must keep the shape, for the residual connection"
            )
        return y


def move_norms_behind_call(sublayers: Sequence[Callable]) -> list[Callable]:
    """Returns the sublayers with the norms before `sublayer_call_layer` moved directly behind it.

    Raises:
        ValueError: there is no norm before the call, or not exactly one call.
    """
    names = [_name(sublayer) for sublayer in sublayers]
    if names.count("sublayer_call_layer") != 1:
        raise ValueError(
            f"LayerStack.sublayers_per_layer = {names}: PrePostNormLayerStack expects exactly one "
            "sublayer_call_layer in it"
        )
    call = names.index("sublayer_call_layer")
    norms = [s for s, name in zip(sublayers[:call], names) if "norm" in name]
    if not norms:
        raise ValueError(
            f"LayerStack.sublayers_per_layer = {names}: PrePostNormLayerStack expects a norm "
            "before sublayer_call_layer; with none to move, use @LayerStack"
        )
    rest = [s for s, name in zip(sublayers[:call], names) if "norm" not in name]
    return rest + [sublayers[call]] + norms + list(sublayers[call + 1 :])


def _name(sublayer: Any) -> str:
    """Returns the name of a sublayer function, also of one wrapped by functools.partial."""
    return getattr(sublayer, "__name__", None) or _name(sublayer.func)
