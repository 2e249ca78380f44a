"""A layer stack whose attention and feed-forward layers read the same input.

GPT-J and GPT-NeoX (https://arxiv.org/abs/2204.06745), 2.1, "parallel residual":

    y = x + dropout(attention(mask(norm_1(x)))) + dropout(feed_forward(mask(norm_2(x)))),

with a norm at the end. `[batch, length, d_model] -> [batch, length, d_model]`. A group of layers
with one input is an attention layer and the layers up to the next one, so that blocks of any length
work, such as Switch's of eight layers.
"""

from collections.abc import Sequence
from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer, transformer_layers

from primer.layers.attention.transformer_xl import stream
from primer.layers.kind_pattern import NoLayer
from primer.layers.stacks import recomputed
from primer.layers.stacks.pre_norm import PreNormLayerStack

# A layer of these classes begins a group; so does an attention layer that is left out.
GROUP_STARTS = (transformer_layers.SelfAttention, NoLayer)


@gin.configurable
class ParallelLayerStack(PreNormLayerStack):
    """A stack in which the layers of a group add to the input of their group.

    The sublayers are set as `LayerStack.*`. Each layer has its own norm of the group's input;
    `sublayer_residual` adds its output to the sum so far.
    """

    def __init__(self, layers: Sequence[transformer.TransformerLayer], **kwargs: Any) -> None:
        """Makes a stack.

        Args:
            layers: a list of TransformerLayer.
            **kwargs: as for PreNormLayerStack.
        """
        super().__init__(layers, **kwargs)
        self._first_of_group = first_of_group(layers)

    def _call_layers(self, context: transformer.Context, x: mtf.Tensor) -> mtf.Tensor:
        """Runs the stack on `[batch, length, d_model]`, or `[batch, d_model]` in decoding.

        Args:
            context: a transformer.Context; `layer_outputs` gets the sum after every layer.
            x: the embeddings.

        Returns:
            A Tensor with the shape of x.
        """
        total = self._call_sublayers(self._sublayers_initial, x, context)
        context.layer_outputs.append(total)
        x = total
        for index, layer in enumerate(self._layers):
            if self._first_of_group[index]:
                with tf.variable_scope(layer.name or ""):
                    x = total = stream.add_to_stream(layer, context, total)
            with tf.variable_scope(layer.name or ""):
                total = self._add_layer(layer, context, x, total)
            if index != len(self._layers) - 1:
                context.layer_outputs.append(total)
            context.layer_index += 1
        total = self._call_sublayers(self._sublayers_final, total, context)
        total = transformer.sublayer_mask_padding(total, self, context)
        context.layer_outputs.append(total)
        return total

    def _add_layer(
        self,
        layer: transformer.TransformerLayer,
        context: transformer.Context,
        x: mtf.Tensor,
        total: mtf.Tensor,
    ) -> mtf.Tensor:
        """Returns `total` plus the layer's output for x, all of one shape."""
        with recomputed.layer(context) as done:
            return done(self._run_layer(layer, context, x, total))


def first_of_group(layers: Sequence[transformer.TransformerLayer]) -> list[bool]:
    """Returns, for each layer that is not a NoLayer, whether it is the first of its group."""
    found, starts = [], True
    for layer in layers:
        starts |= isinstance(layer, GROUP_STARTS)
        if not isinstance(layer, NoLayer):
            found.append(starts)
            starts = False
    return found
