"""Checks settings that attention layers inherit from SelfAttention but cannot support."""

from mesh_tensorflow.transformer import transformer, transformer_layers

from primer.common.class_names import class_name


def check_no_hyperprompts(layer: transformer_layers.SelfAttention, reason: str) -> None:
    """Raises a ValueError if the layer has settings of Mesh-TensorFlow's hyper-prompts.

    Args:
        layer: a SelfAttention.
        reason: why the layer does not support them, as part of a sentence.
    """
    lengths = (layer.hyperprompt_length_encoder, layer.hyperprompt_length_decoder)
    if layer.use_hyperprompt or any(lengths):
        name = class_name(layer)
        raise ValueError(
            f"{name}.use_hyperprompt = {layer.use_hyperprompt}, hyperprompt lengths {lengths}: "
            f"{name} does not support hyper-prompts ({reason}); leave them unset, or use "
            "SelfAttention"
        )


def check_no_attention_func(layer: transformer_layers.SelfAttention, reason: str) -> None:
    """Raises a ValueError if the layer's `attention_func` is set; arguments as above."""
    if layer.attention_func is not None:
        name = class_name(layer)
        raise ValueError(
            f"{name}.attention_func = {layer.attention_func!r}: expected None; {reason}"
        )


def check_memory_heads(layer: transformer_layers.SelfAttention, heads: str) -> None:
    """Raises a ValueError if the layer's memory heads cannot be shared evenly by its heads.

    Args:
        layer: a SelfAttention.
        heads: the number of heads, as the message names it.
    """
    if layer.num_memory_heads > 1 and layer.num_heads % layer.num_memory_heads:
        raise ValueError(
            f"{class_name(layer)}.num_memory_heads = {layer.num_memory_heads} must divide {heads}; "
            "0 gives every head keys of its own"
        )


def check_autoregressive(
    layer: transformer_layers.SelfAttention, context: transformer.Context, kind: str
) -> None:
    """Raises a ValueError if the model lets positions see later ones.

    Args:
        layer: a SelfAttention whose kind sees only earlier positions.
        context: the layer's context.
        kind: the kind.
    """
    if not context.model.fully_autoregressive:
        raise ValueError(
            f"{class_name(layer)} with kind = {kind!r} sees only earlier positions, and the model "
            "is not fully autoregressive (an encoder, a masked language model, or "
            "Unitransformer.input_full_attention = True); use kind 'global' there "
            "(attention_kinds)"
        )
