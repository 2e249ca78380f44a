"""The segment of each token in a packed example, and the token's position in that segment.

Mesh-TensorFlow gives positions that restart with each segment only to models with positional
embeddings. For the others it drops them, because relative attention needs only differences of
positions. Layers that learn something for each position count them here.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer


def memory_length_dim(context: transformer.Context) -> mtf.Dimension:
    """Returns the dimension of the keys, as long as the text, under SelfAttention's name."""
    return mtf.Dimension("memory_length", context.length_dim.size)


def segment_id(context: transformer.Context) -> mtf.Tensor | None:
    """Returns the number of each token's segment, int32 `[batch, length]`; None if not packed."""
    for ids in (context.subsequence_id, context.sequence_id):
        if isinstance(ids, mtf.Tensor):
            return ids if context.length_dim in ids.shape.dims else None
    return None


def in_segment(context: transformer.Context) -> mtf.Tensor | None:
    """Returns the position of each token in its segment, int32 `[batch, length]`.

    Returns None if that is the token's index along the length. Not for incremental mode, where it
    is `context.position`.
    """
    if not context.position_is_default:
        return context.position
    ids = segment_id(context)
    if ids is None:
        return None
    # All layers share the count, except where it was made inside a layer with recomputed
    # gradients: such a tensor is unusable outside of that layer.
    cached = context.cache.get("positions_in_segments")
    if cached is None or not cached.usable:
        cached = _count_earlier_tokens(context, ids)
        context.cache["positions_in_segments"] = cached
    return cached


def _count_earlier_tokens(context: transformer.Context, ids: mtf.Tensor) -> mtf.Tensor:
    """Returns the number of tokens of the same segment before each token."""
    memory_length = memory_length_dim(context)
    # [batch, memory_length]
    memory_ids = mtf.replace_dimensions(ids, context.length_dim, memory_length)
    index = mtf.range(context.mesh, context.length_dim, tf.int32)  # [length]
    memory_index = mtf.range(context.mesh, memory_length, tf.int32)  # [memory_length]
    same = mtf.equal(ids, memory_ids)  # [batch, length, memory_length]
    earlier = mtf.less(memory_index, index)  # [memory_length, length]
    counted = mtf.cast(mtf.logical_and(same, earlier), tf.int32)
    return mtf.reduce_sum(counted, output_shape=ids.shape)  # [batch, length]
