"""Causal linear attention: a sum of the keys and values so far in place of a softmax over them.

The normalized kernel of Efficient Attention (https://arxiv.org/abs/1812.01243), in the causal form
of Linear Transformers (https://arxiv.org/abs/2006.16236), equations 9 to 12; GPT-Neo's `linear`.
For queries q, keys k and values v `[batch, length, heads, d_kv]`, per head,

    Q_t = softmax over d_kv of q_t,    K_t = exp(k_t)
    y_t = (Q_t . sum over s <= t of K_s v_s) / (Q_t . sum over s <= t of K_s)

where s runs over the text of t in packed examples. All is computed in float32 from
K_s = exp(k_s - m_s), m_s the largest entry of the head's keys up to s: keys of any size are finite,
and a constant added to all of them changes nothing. Training and prompts are computed in chunks
(`linear_chunks`); decoding keeps the two sums and m,

    S `[batch, heads, d_kv, d_value]`,  z `[batch, heads, d_kv]`,  m `[batch, heads]`,

whose size does not depend on the length. There are no logits: no bias, cap or z-loss, and no
weights that attention dropout could drop.
"""

from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention, transformer

from primer.common import graph_marks
from primer.common.class_names import class_name
from primer.layers import positions
from primer.layers.attention import inherited_settings, linear_chunks
from primer.layers.attention.transformer_xl import settings as transformer_xl

# Encodings of positions that are no biases of logits.
POSITIONS = ("rotary", "learned", "sinusoid", *transformer_xl.OF_STREAM, "none")
VALUE = "d_value"
# Settings that act on logits -> their values without effect.
_OF_LOGITS = {
    "logit_cap": None,
    "extra_logit": None,
    "num_persistent_vectors": 0,
    "z_loss_coeff": None,
}


def check(layer: Any) -> None:
    """Raises a ValueError if a layer has a setting that acts on logits.

    Args:
        layer: a MultiHeadAttention.
    """
    name = class_name(layer)
    biases = {"positions": (None, *POSITIONS), "relative_attention_type": (None,)}
    for setting, unbiased in biases.items():
        value = getattr(layer, setting)
        if value not in unbiased:
            raise ValueError(
                f"{name}.{setting} = {value!r} and kind = 'linear': linear attention has no logits "
                f"to add a bias to; set positions to one of {', '.join(POSITIONS)}, or "
                "attention_kinds without 'linear'"
            )
    if layer.attention_kwargs.get("extra_logit") is not None:
        raise ValueError(
            f"{name}.attention_kwargs has extra_logit and kind = 'linear': linear attention has no "
            "logits; leave it out, or set attention_kinds without 'linear'"
        )
    for setting, unset in _OF_LOGITS.items():
        if getattr(layer, setting) != unset:
            raise ValueError(
                f"{name}.{setting} = {getattr(layer, setting)!r} and kind = 'linear': linear "
                f"attention has no logits; set it to {unset}, or attention_kinds without 'linear'"
            )


def position(context: transformer.Context) -> mtf.Tensor:
    """Returns the positions that rotate queries and keys, counted from the start of each text.

    Products of rotated channels depend on differences of positions alone. Those of their
    exponentials do not: a packed text must have the positions that it has by itself.

    Args:
        context: the layer's context.
    """
    within = None if context.mode == "incremental" else positions.in_segment(context)
    return context.position if within is None else within


def attend(
    layer: Any,
    context: transformer.Context,
    params: attention.AttentionParams,
    q: mtf.Tensor,
    keys_values: list[mtf.Tensor],
    chunk_length: int | None = None,
) -> mtf.Tensor:
    """Attends, and records the states of decoding in modes first_part and incremental.

    Args:
        layer: the attention layer, for its Dimension d_kv and its dropout.
        context: the layer's context.
        params: the layer's projections; not used.
        q: queries `[batch, length, heads, d_kv]`, grouped `[..., heads, query_heads, d_kv]`;
            without length in incremental mode.
        keys_values: [keys, values], or [keys that are also values], `[batch, length, heads, d_kv]`
            with the heads that keys and values have.
        chunk_length: positions per chunk; None chooses it.

    Returns:
        A Tensor like q.

    Raises:
        ValueError: the model is not autoregressive, or the chunks do not fit the mesh.
    """
    del params
    inherited_settings.check_autoregressive(layer, context, "linear")
    if context.train and layer.dropout_rate > 0:
        graph_marks.add_remark(
            f"attention_dropout_rate = {layer.dropout_rate} has no effect in layers of the kind "
            "'linear': they have no weights to drop"
        )
    key_dim = layer.kv_dim
    queries = mtf.softmax(mtf.cast(q, tf.float32), key_dim)
    k = mtf.cast(keys_values[0], tf.float32)
    v = mtf.rename_dimension(mtf.cast(keys_values[-1], tf.float32), key_dim.name, VALUE)
    if context.mode == "incremental":
        sums = _step(context, k, v, key_dim)
        o = _read(queries, *sums, key_dim)  # [batch, heads, d_value]
    else:
        chunks = linear_chunks.Chunks(context, key_dim, chunk_length)
        o = chunks.attend(queries, k, v)  # [batch, length, heads, d_value]
    if context.mode == "first_part":
        _record_prompt(context, k, v, key_dim)
    return mtf.cast(mtf.rename_dimension(o, VALUE, key_dim.name), q.dtype)


def _step(
    context: transformer.Context, k: mtf.Tensor, v: mtf.Tensor, key_dim: mtf.Dimension
) -> tuple[mtf.Tensor, mtf.Tensor]:
    """Adds one position to the states and returns S and z."""
    old_s, old_z, old_top = context.get_states(3)
    # Without a prompt all states are zero, the maximum too, which must then not count: z is at
    # least exp(0) in one channel as soon as there is a key.
    empty = mtf.less(mtf.reduce_sum(old_z, reduced_dim=key_dim), 0.5)  # [batch, heads]
    old_top += linear_chunks.hidden(empty)
    top = mtf.maximum(old_top, mtf.reduce_max(k, reduced_dim=key_dim))
    k, decay = mtf.exp(k - top), mtf.exp(old_top - top)  # [batch, heads, d_kv], [batch, heads]
    s = old_s * decay + mtf.einsum([k, v], output_shape=old_s.shape)
    z = old_z * decay + k
    context.record_new_states([s, z, top])
    return s, z


def _read(q: mtf.Tensor, s: mtf.Tensor, z: mtf.Tensor, key_dim: mtf.Dimension) -> mtf.Tensor:
    weighted = mtf.einsum([q, s], reduced_dims=[key_dim])  # [batch, heads, d_value]
    return linear_chunks.divide(weighted, mtf.einsum([q, z], reduced_dims=[key_dim]))


def _record_prompt(
    context: transformer.Context, k: mtf.Tensor, v: mtf.Tensor, key_dim: mtf.Dimension
) -> None:
    """Records the states after each row's prompt, which ends at `context.initial_position`."""
    index = mtf.range(context.mesh, context.length_dim, tf.int32)
    after = mtf.greater_equal(index, context.initial_position)  # [batch, length]
    hidden = linear_chunks.hidden(after)
    tops = mtf.reduce_max(k, reduced_dim=key_dim) + hidden  # [batch, length, heads]
    top = mtf.reduce_max(tops, reduced_dim=context.length_dim)  # [batch, heads]
    # Rows without a prompt have no largest key, and zeros in the sums.
    top = mtf.maximum(top, linear_chunks.HIDDEN / 2)
    # The difference comes first: float32 would lose the keys beside a large number.
    k = mtf.exp((k - top) + hidden)  # [batch, length, heads, d_kv]
    z = mtf.reduce_sum(k, reduced_dim=context.length_dim)  # [batch, heads, d_kv]
    value_dim = v.shape.dims[-1]
    s = mtf.einsum([k, v], output_shape=[*z.shape.dims, value_dim])
    context.record_new_states([s, z, top])
