"""Which tokens of a batch are text, and which are padding that takes no place at an expert.

Packed examples say it by their sequence ids. Unpacked ones have none: there the token ids tell,
`context.inputs` `[batch, length]`, in which 0 is padding. The inputs of a language model are its
targets moved by one position, so that the first is 0 and the one behind the text is not: the text
is taken to reach from the first position to the last that is not 0.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def importance(context, x):
    """Returns a float32 Tensor of x's dimensions without d_model, 1 for text and 0 for padding.

    None if nothing is known to be padding, as in decoding.
    """
    shape = x.shape - x.shape.dims[-1]
    real = _real(context)
    if real is None or set(real.shape.dims) - set(shape.dims):
        return None
    return mtf.broadcast(real, shape)


def _real(context):
    if isinstance(context.sequence_id, mtf.Tensor):
        return mtf.to_float(mtf.not_equal(context.sequence_id, 0))
    ids, length_dim = context.inputs, context.length_dim
    if not isinstance(ids, mtf.Tensor) or length_dim not in ids.shape.dims:
        return None
    position = mtf.range(context.mesh, length_dim, tf.float32)
    text = mtf.to_float(mtf.not_equal(ids, 0))
    last = mtf.reduce_max(text * position, reduced_dim=length_dim)
    return mtf.to_float(mtf.less_equal(position, last))
