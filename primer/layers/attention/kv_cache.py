"""What attention remembers of the positions before: all of them, a row of a cache for each."""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common.class_names import class_name


def remember(layer, context, memories):
    """Takes in the keys and values of a call; in decoding, they become states of the context.

    Args:
        layer: a SelfAttention.
        context: a transformer.Context.
        memories: a list of Tensors `[batch, length, ...]`, without length in incremental mode.

    Returns:
        the memories with memory_length, those of earlier positions included, and the position of
        each entry of it, int32 `[memory_length]` or more.
    """
    memory_length = layer.memory_length(context)
    if context.mode == "incremental":
        here = mtf.one_hot(context.position, memory_length, dtype=context.activation_dtype)
        old = context.get_states(len(memories))
        memories = [a * (1.0 - here) + b * here for a, b in zip(old, memories)]
        position = mtf.range(context.mesh, memory_length, tf.int32)
    else:
        memories = [layer.rename_length_to_memory_length(m, context) for m in memories]
        position = layer.rename_length_to_memory_length(context.position, context)
    if context.mode in ("first_part", "incremental"):
        context.record_new_states(memories)
    return memories, position


def refuse_hyperprompts(layer, reason):
    """Raises a ValueError if the layer has settings of Mesh-TensorFlow's hyper-prompts.

    Args:
        layer: a SelfAttention.
        reason: why it has none, as part of a sentence.
    """
    lengths = (layer.hyperprompt_length_encoder, layer.hyperprompt_length_decoder)
    if layer.use_hyperprompt or any(lengths):
        name = class_name(layer)
        raise ValueError(
            f"{name}.use_hyperprompt = {layer.use_hyperprompt}, hyperprompt lengths {lengths}: "
            f"{name} has no hyper-prompts ({reason}); leave them unset, or use SelfAttention"
        )
