"""A layer stack that normalizes the input and the output of every layer.

Gemma 2 (https://arxiv.org/abs/2408.00118), section 2, first as "Sandwich-LN" in CogView
(https://arxiv.org/abs/2105.13290), 2.4:

    y = x + dropout(post_norm(layer(mask(norm(x))))),

with a norm at the end. `[batch, length, d_model] -> [batch, length, d_model]`. The second norm's
variables are in the scope `post_norm` of the layer: two variables of one name are one variable.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers.stacks import sublayer_order
from primer.layers.stacks.pre_norm import PreNormLayerStack


@gin.configurable
class SandwichNormLayerStack(PreNormLayerStack):
    """A stack with norms on both sides of every layer.

    The sublayers are set as `LayerStack.*`: the norms before the call stand behind it too, with
    variables of their own.
    """

    def __init__(self, layers: Sequence[transformer.TransformerLayer], **kwargs: Any) -> None:
        """Makes a stack.

        Args:
            layers: a list of TransformerLayer.
            **kwargs: as for PreNormLayerStack.

        Raises:
            ValueError: the sublayers have no norm before exactly one `sublayer_call_layer`.
        """
        super().__init__(layers, **kwargs)
        stack, sublayers = "SandwichNormLayerStack", self._sublayers_per_layer or []
        norms = sublayer_order.norms_before_call(sublayers, stack)
        behind = sublayer_order.index_of(sublayers, sublayer_order.CALL, stack) + 1
        self._sublayers_per_layer = [
            *sublayers[:behind],
            *(functools.partial(sublayer_post_norm, norm=norm) for norm in norms),
            *sublayers[behind:],
        ]


def sublayer_post_norm(
    x: mtf.Tensor, layer_stack: Any, context: transformer.Context, norm: Callable
) -> mtf.Tensor:
    """Applies a norm whose variables are in the scope `post_norm`.

    Args:
        x: a Tensor `[..., d_model]`.
        layer_stack: the stack.
        context: a transformer.Context.
        norm: the sublayer to call.

    Returns:
        A Tensor with the shape of x.
    """
    with tf.variable_scope("post_norm"):
        return norm(x, layer_stack, context)
