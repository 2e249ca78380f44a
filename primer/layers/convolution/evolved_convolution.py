"""The Evolved Transformer's convolutional decoder layer: two branches, a norm, a convolution.

Evolved Transformer (https://arxiv.org/abs/1901.11117), figure 3. For x `[batch, length, d_model]`,

    left  = relu(conv11(x))             [batch, length, 2 d_model]
    right = conv7(x)                    [batch, length, d_model / 2], padded to 2 d_model
    y     = conv7(norm(left + right))   [batch, length, d_model]

with causal separable convolutions of 11 and 7 taps (`separable_conv`) and a layer norm. As in
Mesh-TensorFlow's DecoderConvolutionalLayer, whose variables these are, the inputs of all three
convolutions are zero where the input token is 0: at the start of a text and in padding.
Mesh-TensorFlow omits this mask in decoding; here every mode computes the same function.
"""

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers import variables
from primer.layers.convolution import separable_conv


@variables.stored_under("DecoderConvolutionalLayer")
@gin.configurable
class EvolvedConvolution(transformer.TransformerLayer):
    """Two branches of causal separable convolutions, a norm, and one more convolution."""

    # Its convolutions begin with zeros at the first position of a row.
    sees_row_only = True

    def __init__(
        self,
        dropout_rate: float = 0.0,
        initializer_scale: float = 1.0,
        norm_epsilon: float = 1e-6,
    ) -> None:
        """Makes a layer.

        Args:
            dropout_rate: the fraction, 0 to 1, that is dropped after each convolution; all
                positions of a row share the noise.
            initializer_scale: the variance of the convolutions' initial weights, as a multiple of
                1 / fan-in.
            norm_epsilon: a number added to the variance in the norm.
        """
        self.dropout_rate = dropout_rate
        self.initializer_scale = initializer_scale
        self.norm_epsilon = norm_epsilon

    def call(
        self,
        context: transformer.Context,
        x: mtf.Tensor,
        losses: list[mtf.Tensor] | None = None,
    ) -> mtf.Tensor:
        """Convolves: `[batch, length, d_model]` in and out, without length in incremental mode.

        Raises:
            ValueError: d_model is odd.
        """
        model_dim = context.model.model_dim
        if model_dim.size % 2:
            raise ValueError(
                f"Unitransformer.d_model = {model_dim.size}: EvolvedConvolution has a branch of "
                "d_model / 2 channels; choose an even d_model"
            )
        mask = _input_mask(context)  # [batch, length]; in decoding [length] or [batch]
        # A layout splits d_ff as in feed-forward layers. A split dimension cannot be padded, so
        # that the narrow branch needs a name that no layout has.
        wide = mtf.Dimension("d_ff", 2 * model_dim.size)
        narrow = mtf.Dimension("narrow_branch", model_dim.size // 2)

        def convolve(
            scope: str,
            x: mtf.Tensor,
            channels: mtf.Dimension,
            output_dim: mtf.Dimension,
            kernel_size: int,
        ) -> mtf.Tensor:
            with tf.variable_scope(scope):
                return separable_conv.separable_conv(
                    context, x * mask, channels, output_dim, kernel_size, self.initializer_scale
                )

        left = mtf.relu(convolve("sep_conv11x1", x, model_dim, wide, 11))  # [batch, length, d_ff]
        right = convolve("sep_conv7x1_1", x, model_dim, narrow, 7)  # [batch, length, narrow_branch]
        right = self._dropout(context, right)
        right = mtf.pad(right, [0, wide.size - narrow.size], narrow.name)
        right = mtf.rename_dimension(right, narrow.name, wide.name)  # [batch, length, d_ff]
        # [batch, length, d_ff]
        hidden = self._norm(context, self._dropout(context, left) + right, wide)
        y = convolve("sep_conv7x1_2", hidden, wide, model_dim, 7)  # [batch, length, d_model]
        return self._dropout(context, y)

    def _dropout(self, context: transformer.Context, x: mtf.Tensor) -> mtf.Tensor:
        if not context.train or self.dropout_rate == 0.0:
            return x
        return mtf.dropout(
            x, context.train, rate=self.dropout_rate, noise_shape=x.shape - context.length_dim
        )

    def _norm(
        self, context: transformer.Context, x: mtf.Tensor, channels: mtf.Dimension
    ) -> mtf.Tensor:
        """Returns the layer norm of x over the channels, computed in float32."""
        with tf.variable_scope("layer_prepostprocess/layer_norm"):
            scale = variables.get_variable(
                context, "layer_norm_scale", [channels], tf.ones_initializer()
            )  # [d_ff]
            bias = variables.get_variable(
                context, "layer_norm_bias", [channels], tf.zeros_initializer()
            )  # [d_ff]
        dtype, x = x.dtype, mtf.cast(x, tf.float32)
        x -= mtf.reduce_mean(x, reduced_dim=channels)
        variance = mtf.reduce_mean(mtf.square(x), reduced_dim=channels)  # [batch, length]
        x *= mtf.rsqrt(variance + self.norm_epsilon)  # [batch, length, d_ff]
        return mtf.cast(x, dtype) * scale + bias


def _input_mask(context: transformer.Context) -> mtf.Tensor:
    """Returns ones where the input is a token, zeros at the start of a text and in padding.

    In training and evaluation the mask comes from the tokens, which are 0 also at the start of each
    segment of a packed example. In decoding it comes from the position, because `context.inputs` of
    first_part are one position ahead.
    """
    if context.mode in ("first_part", "incremental"):
        is_token = mtf.greater(context.position, 0)  # [length] or [batch]
    else:
        is_token = mtf.not_equal(context.inputs, 0)  # [batch, length]
    return mtf.cast(is_token, context.activation_dtype)
