"""Attention to keys that begin before the queries do: a layer, its inputs and earlier inputs."""

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import attention

from primer.layers.attention import kv_cache, softmax_attention
from tests.layers import helpers, single_layer


def run(layer, variables, x, memory, weights=None, mesh_shape="", layout=""):
    """Attends from the positions of x to those of memory and of x so far.

    Args:
        layer: a MultiHeadAttention, with biases of its own.
        variables: a dict of its variables.
        x: an array `[batch, length, d_model]`.
        memory: an array `[batch, memory, d_model]`.
        weights: an array like x: also return the gradients of sum(y * weights).
        mesh_shape, layout: of the mesh.

    Returns:
        a dict of float32 arrays: y; with weights "d x", "d memory" and "d <variable>".
    """
    with helpers.bench(mesh_shape, layout, variables) as b:
        x = b.put(np.asarray(x, np.float32), *single_layer.NAMES)
        memory = b.put(np.asarray(memory, np.float32), "batch", "memory_length", "d_model")
        context = single_layer.context_of(b, x)
        outputs = {"y": attend(layer, context, x, memory)}
        if weights is not None:
            weights = b.put(np.asarray(weights, np.float32), *single_layer.NAMES)
            loss = mtf.reduce_sum(outputs["y"] * weights)
            sources = {"d x": x, "d memory": memory}
            sources.update({"d " + v.name: v.value for v in b.graph.trainable_variables})
            outputs.update(zip(sources, mtf.gradients([loss], list(sources.values()))))
        return b.run(outputs)


def attend(layer, context, x, memory):
    """Returns the layer's output for x `[batch, length, d_model]` after memory."""
    params = layer.make_params(context)
    q, own = layer.project(context, params, x)
    q, own = layer.transform_heads(context, q, own)
    name = "memory_length"
    earlier = kv_cache.project_keys_values(params, memory)
    keys_values = [
        mtf.concat([old, mtf.rename_dimension(new, context.length_dim.name, name)], name)
        for old, new in zip(earlier, own)
    ]
    memory_dim = keys_values[0].shape.get_dim_by_name(name)
    # Only the difference of the sizes counts: positions of the memory are not known to the layer.
    memory_position = mtf.range(context.mesh, memory_dim, tf.int32)
    context.read_priority = None
    bias = layer.compute_bias(context, memory_position, None, params.query_heads_dims, q)
    distance = context.position + (memory_dim.size - context.length_dim.size) - memory_position
    visible = mtf.greater_equal(distance, 0)
    hidden = attention.visibility_mask_to_attention_bias(visible, tf.float32)
    bias = mtf.add(bias, hidden, output_shape=bias.shape)
    o = softmax_attention.attend(layer, context, params, q, keys_values, memory_dim, bias)
    return params.compute_output(o, output_shape=x.shape)
