"""The Evolved Transformer's convolutional layer of a decoder: two branches, a norm, a convolution.

Evolved Transformer (https://arxiv.org/abs/1901.11117), figure 3. For x `[batch, length, d_model]`,

    left  = relu(conv11(x))             [batch, length, 2 d_model]
    right = conv7(x)                    [batch, length, d_model / 2], zeros up to 2 d_model
    y     = conv7(norm(left + right))   [batch, length, d_model]

with causal separable convolutions of 11 and 7 taps (`separable_conv`) and a layer norm. As in
Mesh-TensorFlow's DecoderConvolutionalLayer, whose variables these are, the inputs of all three
convolutions are zero where the token that is read is 0: at the start of a text and in padding.
Mesh-TensorFlow forgets that when it decodes; here every mode computes the same.
"""

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.layers import variable_scopes
from primer.layers.convolution import separable_conv


@variable_scopes.variables_under("DecoderConvolutionalLayer")
@gin.configurable
class EvolvedConvolution(transformer.TransformerLayer):
    """Two branches of causal separable convolutions, a norm, and one more convolution."""

    def __init__(self, dropout_rate=0.0, initializer_scale=1.0, norm_epsilon=1e-6):
        """Makes a layer.

        Args:
            dropout_rate: from 0 up to 1: after each convolution, the same along the length.
            initializer_scale: the variance of the convolutions' initial weights, as a multiple of
                1 / the number of values that are summed.
            norm_epsilon: added to the variance in the norm.
        """
        self.dropout_rate = dropout_rate
        self.initializer_scale = initializer_scale
        self.norm_epsilon = norm_epsilon

    def call(self, context, x, losses=None):
        """Convolves: `[batch, length, d_model]` in and out, without length in incremental mode."""
        model_dim = context.model.model_dim
        if model_dim.size % 2:
            raise ValueError(
                f"Unitransformer.d_model = {model_dim.size}: EvolvedConvolution has a branch of "
                "d_model / 2 channels; choose an even d_model"
            )
        mask = _reads_a_token(context)
        # A layout splits d_ff as in feed-forward layers. Zeros cannot be added along a split
        # dimension, hence a name that no layout has for the narrow branch.
        wide = mtf.Dimension("d_ff", 2 * model_dim.size)
        narrow = mtf.Dimension("narrow_branch", model_dim.size // 2)

        def convolve(scope, x, channels, output_dim, kernel_size):
            with tf.variable_scope(scope):
                return separable_conv.separable_conv(
                    context, x * mask, channels, output_dim, kernel_size, self.initializer_scale
                )

        left = mtf.relu(convolve("sep_conv11x1", x, model_dim, wide, 11))
        right = self._dropout(context, convolve("sep_conv7x1_1", x, model_dim, narrow, 7))
        right = mtf.pad(right, [0, wide.size - narrow.size], narrow.name)
        right = mtf.rename_dimension(right, narrow.name, wide.name)
        hidden = self._norm(context, self._dropout(context, left) + right, wide)
        return self._dropout(context, convolve("sep_conv7x1_2", hidden, wide, model_dim, 7))

    def _dropout(self, context, x):
        if not context.train or self.dropout_rate == 0.0:
            return x
        return mtf.dropout(
            x, context.train, rate=self.dropout_rate, noise_shape=x.shape - context.length_dim
        )

    def _norm(self, context, x, channels):
        """Layer norm over the channels, in float32."""
        shape = mtf.Shape(context.model.ensemble_dims + [channels])
        with tf.variable_scope("layer_prepostprocess/layer_norm"):
            scale, bias = (
                mtf.get_variable(
                    context.mesh, name, shape, initializer=initializer, dtype=context.variable_dtype
                )
                for name, initializer in (
                    ("layer_norm_scale", tf.ones_initializer()),
                    ("layer_norm_bias", tf.zeros_initializer()),
                )
            )
        dtype, x = x.dtype, mtf.cast(x, tf.float32)
        x -= mtf.reduce_mean(x, reduced_dim=channels)
        variance = mtf.reduce_mean(mtf.square(x), reduced_dim=channels)
        x *= mtf.rsqrt(variance + self.norm_epsilon)
        return mtf.cast(x, dtype) * scale + bias


def _reads_a_token(context):
    """Ones where a token is read, zeros at the start of a text and in padding.

    In training and evaluation by the tokens, which are 0 also at the start of each part of a packed
    example. In decoding by the position: `context.inputs` of first_part are one position ahead.
    """
    if context.mode in ("first_part", "incremental"):
        reads = mtf.greater(context.position, 0)
    else:
        reads = mtf.not_equal(context.inputs, 0)
    return mtf.cast(reads, context.activation_dtype)
