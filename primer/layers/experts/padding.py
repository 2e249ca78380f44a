"""Tells text from padding in a batch, because padding must not take slots of experts.

Packed examples mark padding by sequence id 0. Unpacked ones have no sequence ids; there the token
ids `context.inputs` `[batch, length]` are 0 for padding. The inputs of a language model are its
targets shifted by one position, so that the first is 0 and the one after the text is not:

    real[t] = t <= last position whose input is not 0           [batch, length]
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer


def importance(context: transformer.Context, x: mtf.Tensor) -> mtf.Tensor | None:
    """Returns 1 for text and 0 for padding, float32 with x's dimensions except d_model.

    Returns None if the context does not say what is padding, as in decoding.

    Args:
        context: a transformer.Context.
        x: a Tensor `[..., d_model]`.
    """
    shape = x.shape - x.shape.dims[-1]
    real = _real(context)
    if real is None or set(real.shape.dims) - set(shape.dims):
        return None
    return mtf.broadcast(real, shape)  # [..., batch, length]


def _real(context: transformer.Context) -> mtf.Tensor | None:
    if isinstance(context.sequence_id, mtf.Tensor):
        return mtf.to_float(mtf.not_equal(context.sequence_id, 0))  # [batch, length]
    ids, length_dim = context.inputs, context.length_dim
    if not isinstance(ids, mtf.Tensor) or length_dim not in ids.shape.dims:
        return None
    position = mtf.range(context.mesh, length_dim, tf.float32)  # [length]
    text = mtf.to_float(mtf.not_equal(ids, 0))  # [batch, length]
    last = mtf.reduce_max(text * position, reduced_dim=length_dim)  # [batch]
    return mtf.to_float(mtf.less_equal(position, last))  # [length, batch]
