"""The stack of layers with a norm before each, from which the other stacks derive.

With the sublayers `[norm, mask, call, dropout, residual]` of `LayerStack.sublayers_per_layer`
(pre-norm, https://arxiv.org/abs/2002.04745),

    y = x + dropout(layer(mask(norm(x)))),

and a norm at the end. `[batch, length, d_model] -> [batch, length, d_model]`. The graph and the
variables are those of Mesh-TensorFlow's `LayerStack`, whose settings apply.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import checks, graph_marks
from primer.common.class_names import class_name
from primer.layers import variables
from primer.layers.attention.transformer_xl import stream
from primer.layers.kind_pattern import NoLayer
from primer.layers.recurrence import past, refusals
from primer.layers.stacks import recomputed, sublayer_order
from primer.layers.stacks.token_shift import sublayer_token_shift


# Model directories record the name of the stack: this one computes what LayerStack computes.
@variables.stored_under("LayerStack")
@gin.configurable
class PreNormLayerStack(transformer.LayerStack):
    """A LayerStack that leaves out the layers of kind "none".

    The sublayers are set as `LayerStack.*`, for each of the stacks that derive from this one.
    """

    _sublayers_initial: list[Callable] | None
    _sublayers_per_layer: list[Callable] | None
    _sublayers_final: list[Callable] | None
    _recompute_grads: bool

    def __init__(
        self,
        layers: Sequence[transformer.TransformerLayer],
        token_shift: bool = False,
        recompute: str = recomputed.NONE,
        **kwargs: Any,
    ) -> None:
        """Makes a stack.

        Args:
            layers: a list of TransformerLayer. Those after a NoLayer keep their names.
            token_shift: whether the stack begins with a `sublayer_token_shift`.
            recompute: what the backward pass computes again, and so is not kept: "none", each of
                the "layers", or each of the "blocks".
            **kwargs: as for LayerStack; its `recompute_grads = True` is `recompute = "layers"`.
        """
        super().__init__([layer for layer in layers if not isinstance(layer, NoLayer)], **kwargs)
        self._recompute = recomputed.setting(recompute, self._recompute_grads)
        self._recompute_grads = False  # Of LayerStack, which would recompute by itself.
        refusals.check_stack(self._layers, token_shift)
        if checks.boolean("PreNormLayerStack.token_shift", token_shift, ValueError):
            self._sublayers_initial = [sublayer_token_shift, *(self._sublayers_initial or [])]
        if stream.adds_to_embeddings(self.layers):
            # After the token shift, before the dropout of the embeddings.
            initial = self._sublayers_initial or []
            self._sublayers_initial = [
                *initial[:token_shift],
                stream.sublayer_distance_sinusoids,
                *initial[token_shift:],
            ]

    def call(self, context: transformer.Context, x: mtf.Tensor) -> mtf.Tensor:
        """Runs the stack on `[batch, length, d_model]`, or `[batch, d_model]` in decoding."""
        with recomputed.layers(self._recompute, self._layers, context):
            y = self._call_layers(context, x)
        past.keep(self._layers, context)
        return y

    def _call_layers(self, context: transformer.Context, x: mtf.Tensor) -> mtf.Tensor:
        """Runs the layers, and the sublayers before and after them."""
        return super().call(context, x)

    def carried_parts(
        self, model_dim: mtf.Dimension, dtype: tf.DType, train: bool
    ) -> dict[str, tuple[tuple[mtf.Dimension, ...], tf.DType]]:
        """Returns the parts of `carried_state` that the layers have, as `past.parts`."""
        return past.parts(self._layers, model_dim, dtype, train)

    def _layer_fn(
        self,
        x: mtf.Tensor,
        layer: transformer.TransformerLayer,
        context: transformer.Context,
    ) -> mtf.Tensor:
        with recomputed.layer(context) as done:
            x = stream.add_to_stream(layer, context, x)
            return done(self._run_layer(layer, context, x, x))

    def _run_layer(
        self,
        layer: transformer.TransformerLayer,
        context: transformer.Context,
        x: mtf.Tensor,
        total: mtf.Tensor,
    ) -> mtf.Tensor:
        """Runs the sublayers of a layer on x; `sublayer_residual` adds their result to `total`."""
        context.current_layer = layer
        context.current_layer_input = total
        sublayers = self._sublayers_of(layer)
        context.past = past.of_layer(
            layer, context, x, lambda stream: self._normalize(sublayers, stream, context)
        )
        is_normalized = sublayer_order.normalizes_output(sublayers)
        graph_marks.set_normalized_output(context.train and is_normalized)
        y = self._call_sublayers(sublayers, x, context)  # [batch, length, d_model]
        if y.shape != x.shape:
            raise ValueError(
                f"{class_name(layer)} returned {y.shape} for an input of {x.shape}: "
                "a layer must keep the shape, for the residual connection"
            )
        return y

    def _normalize(
        self, sublayers: Sequence[Callable], x: mtf.Tensor, context: transformer.Context
    ) -> mtf.Tensor:
        """Applies the norms before the call to the stream of earlier positions."""
        before = sublayer_order.before_call(sublayers)
        return self._call_sublayers(filter(sublayer_order.is_norm, before), x, context)

    def _sublayers_of(self, layer: transformer.TransformerLayer) -> Sequence[Callable]:
        """Returns the sublayers that are called for a layer, in order."""
        return self._sublayers_per_layer or []
