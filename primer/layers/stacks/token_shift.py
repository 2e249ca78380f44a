"""Token shift: each embedding adds a learned share of the one before it.

"Smear" of modded-nanogpt (https://github.com/KellerJordan/modded-nanogpt, September 2025), a
relative of RWKV's token shift (https://arxiv.org/abs/2305.13048), 3.1:

    y[t] = x[t] + lambda * sigmoid(x[t, :12] . w) * x[t - 1],

with lambda and w `[12]` zero at first. `[batch, length, d_model] -> [batch, length, d_model]`. The
first token of a text, also in a packed example, stays as it is.
"""

from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import checks
from primer.layers import positions, variables
from primer.layers.convolution import causal_depthwise_conv


@gin.configurable
def sublayer_token_shift(
    x: mtf.Tensor,
    layer_stack: Any,
    context: transformer.Context,
    gate_channels: int = 12,
) -> mtf.Tensor:
    """Adds a share of the previous position: a sublayer for `LayerStack.sublayers_initial`.

    Args:
        x: a Tensor `[batch, length, d_model]`, or `[batch, d_model]` in incremental mode.
        layer_stack: unused.
        context: a transformer.Context.
        gate_channels: how many channels of x the gate reads, from the first.

    Returns:
        A Tensor with the shape of x.

    Raises:
        ValueError: `gate_channels` is not between 1 and d_model.
    """
    del layer_stack
    _check_gate_channels(gate_channels, context.model.model_dim)
    if context.mode == "incremental":
        (previous,) = context.get_states(1)  # [batch, d_model]
        context.record_new_states([x])
    else:
        previous = _previous(context, x)  # [batch, length, d_model]
    if context.mode == "first_part":
        context.record_new_states(
            causal_depthwise_conv.last_positions(x, context.length_dim, context.initial_position, 1)
        )
    with tf.variable_scope("token_shift"):
        share = _share(context, x, gate_channels)  # [batch, length]
    return x + share * previous  # [batch, length, d_model]


def _previous(context: transformer.Context, x: mtf.Tensor) -> mtf.Tensor:
    """Returns x one position earlier in the same text, zeros at the start of a text."""
    previous = mtf.shift(x, 1, context.length_dim, wrap=False)  # [batch, length, d_model]
    part = positions.segment_id(context)
    if part is None:
        return previous
    same = mtf.equal(part, mtf.shift(part, 1, context.length_dim, wrap=False))
    return previous * mtf.cast(same, x.dtype)


def _share(context: transformer.Context, x: mtf.Tensor, gate_channels: int) -> mtf.Tensor:
    """Returns lambda * sigmoid(x[:gate_channels] . w), `[batch, length]`."""
    model_dim = context.model.model_dim
    narrow = mtf.Dimension("gate_channels", gate_channels)
    weights = variables.get_variable(context, "gate", [narrow], tf.zeros_initializer())
    # The mesh may split d_model, and a split dimension can be neither sliced nor padded.
    weights = mtf.pad(weights, [0, model_dim.size - gate_channels], narrow.name)
    weights = mtf.rename_dimension(weights, narrow.name, model_dim.name)  # [d_model]
    logits = mtf.einsum([x, weights], output_shape=x.shape - model_dim)  # [batch, length]
    factor = variables.get_variable(context, "lambda", [], tf.zeros_initializer())
    return factor * mtf.sigmoid(logits)


def _check_gate_channels(gate_channels: int, model_dim: mtf.Dimension) -> None:
    setting = "sublayer_token_shift.gate_channels"
    expected = f"a whole number from 1 to the model's {model_dim.size} channels (d_model)"
    checks.whole_number(setting, gate_channels, expected=expected, error=ValueError)
    if gate_channels > model_dim.size:
        raise ValueError(f"{setting} = {gate_channels}: expected {expected}")
