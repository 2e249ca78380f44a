"""Where a token stands in a packed example: the number of its part, its position in that part.

Mesh-TensorFlow gives positions that start anew with every part only to models with positional
embeddings; for the others it drops them, since differences of positions are all that relative
attention needs. Layers that learn something for each position count them here.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def segment_id(context):
    """What numbers the parts, int32 `[batch, length]`, as SelfAttention takes it, or None."""
    for numbers in (context.subsequence_id, context.sequence_id):
        if isinstance(numbers, mtf.Tensor):
            return numbers if context.length_dim in numbers.shape.dims else None
    return None


def in_part(context):
    """The position of every token in its part, int32 `[batch, length]`.

    None if that is its index along the length. Not for incremental mode, where
    `context.position` says it.
    """
    if not context.position_is_default:
        return context.position
    numbers = segment_id(context)
    if numbers is None:
        return None
    # Shared by the layers; but not what a layer with recomputed gradients has computed inside.
    cached = context.cache.get("positions_in_parts")
    if cached is None or not cached.usable:
        cached = _count(context, numbers)
        context.cache["positions_in_parts"] = cached
    return cached


def _count(context, numbers):
    """Counts the tokens of the same part before each token."""
    memory_length = mtf.Dimension("memory_length", context.length_dim.size)
    memory_numbers = mtf.replace_dimensions(numbers, context.length_dim, memory_length)
    index = mtf.range(context.mesh, context.length_dim, tf.int32)
    memory_index = mtf.range(context.mesh, memory_length, tf.int32)
    before = mtf.logical_and(mtf.equal(numbers, memory_numbers), mtf.less(memory_index, index))
    return mtf.reduce_sum(mtf.cast(before, tf.int32), output_shape=numbers.shape)
