"""Checks the settings of MultiHeadAttention before a graph is built."""

from typing import Any

from mesh_tensorflow.transformer import transformer

from primer.common import checks, graph_marks
from primer.common.class_names import class_name
from primer.layers import scales
from primer.layers.attention import inherited_settings, linear, projections
from primer.layers.attention.options import (
    extra_logit,
    logit_bias,
    logit_cap,
    persistent_vectors,
    qk_norm,
    rotary,
)
from primer.layers.attention.transformer_xl import settings as transformer_xl
from primer.layers.recurrence import refusals

KINDS = ("global", "local", "linear")
DEFAULT_WINDOW = 256
# Encodings of positions that change what the layer computes.
OWN_POSITIONS = ("rotary", "alibi", *transformer_xl.OF_LOGITS, *transformer_xl.OF_STREAM)


def check(layer: Any) -> None:
    """Raises a ValueError for a setting or a combination that a layer does not support.

    Args:
        layer: a MultiHeadAttention.
    """
    inherited_settings.check_no_hyperprompts(layer, "a prompt has no position")
    setting = f"{class_name(layer)}.num_memory_heads"
    checks.whole_number(setting, layer.num_memory_heads, least=0, error=ValueError)
    inherited_settings.check_memory_heads(layer, f"num_heads = {layer.num_heads}")
    _check_choice("kind", layer.kind, KINDS)
    _check_choice("biases", layer.biases, tuple(projections.BIASES))
    qk_norm.check(layer.qk_norm)
    if layer.scale is not None:
        scales.resolve("MultiHeadAttention.scale", layer.scale, layer.key_value_size)
    logit_cap.check(layer.logit_cap)
    extra_logit.check(layer)
    logit_bias.check(layer)
    persistent_vectors.check(layer.num_persistent_vectors)
    name = "MultiHeadAttention.num_value_embeddings"
    checks.whole_number(name, layer.num_value_embeddings, 0, error=ValueError)
    if layer.positions == "rotary":
        rotary.check(layer.key_value_size, layer.rotary_base, layer.rotary_fraction)
    transformer_xl.check(layer)
    _check_kind(layer)
    _check_shared_keys(layer)
    refusals.check_layer(layer)


def described_class(layer: Any) -> str:
    """Returns the class of a layer with the names of settings that change the class's function.

    Directories that were trained before these settings existed record the class without them, and a
    setting that only one of two descriptions has is no difference. MultiHeadAttention was called
    SelfAttention then, and WindowedSelfAttention with a window.

    Args:
        layer: a MultiHeadAttention.
    """
    neutral = {
        "kind": layer.own_kind,
        "qk_norm": None,
        "biases": "none",
        "scale": None,
        "logit_cap": None,
        "extra_logit": None,
        "relative_max_distance": logit_bias.MAX_DISTANCE,
        "causal_by_position": False,
        "crosses_texts": False,  # Of MDHA.
        "num_persistent_vectors": 0,
        "num_value_embeddings": 0,
        "recurrence": None,
        "untie_relative_biases": False,
    }
    changed = [n for n, value in neutral.items() if getattr(layer, n, value) != value]
    changed += ["positions"] if layer.positions in OWN_POSITIONS else []
    if layer.num_persistent_vectors and layer.positions == "rotary":
        # Earlier versions multiplied the vectors with rotated queries.
        changed.append("persistent_vectors_without_position")
    name = class_name(layer)
    if name == "MultiHeadAttention" and changed in ([], ["kind"]) and layer.kind != "linear":
        return "WindowedSelfAttention" if layer.kind == "local" else "SelfAttention"
    return f"{name}({', '.join(changed)})" if changed else name


def say_without_effect(layer: Any, context: transformer.Context) -> None:
    """Adds a remark to the graph of training for each setting of another kind or encoding.

    Args:
        layer: a MultiHeadAttention.
        context: the layer's context.
    """
    if not context.train:
        return
    if layer.positions != "rotary":
        for name, default in (("rotary_base", 10000.0), ("rotary_fraction", 1.0)):
            if getattr(layer, name) != default:
                graph_marks.add_remark(
                    f"{name} = {getattr(layer, name)!r} has no effect: positions are not rotary"
                )
    transformer_xl.say_without_effect(layer)
    stack = getattr(context.model, "layer_stack", None)
    if (
        stack is not None
        and layer.window != DEFAULT_WINDOW
        and not any(map(_is_local, stack.layers))
    ):
        graph_marks.add_remark(
            f"window = {layer.window!r} has no effect: no layer is local (slot attention_kinds)"
        )


def _is_local(layer: Any) -> bool:
    return getattr(layer, "kind", None) == "local"


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(
            f"MultiHeadAttention.{name} = {value!r}: expected one of {', '.join(choices)}"
        )


def _check_kind(layer: Any) -> None:
    if layer.kind == "local":
        checks.whole_number(
            "MultiHeadAttention.window",
            layer.window,
            expected="how many keys a query sees, its own position's included",
            error=ValueError,
        )
        if layer.block_length is not None:
            checks.whole_number(
                f"{class_name(layer)}.block_length",
                layer.block_length,
                expected="positions per block, a whole number of 1 or more, or None to choose",
                error=ValueError,
            )
    if layer.kind == "linear":
        linear.check(layer)
    if layer.kind != "global" or layer.logit_cap is not None:
        inherited_settings.check_no_attention_func(
            layer, "'hybrid' also normalizes over the queries, including later ones"
        )
    if layer.num_persistent_vectors or layer.z_loss_coeff is not None:
        inherited_settings.check_no_attention_func(
            layer,
            "'hybrid' needs as many keys as queries and has no z-loss; or set "
            "num_persistent_vectors to 0 and z_loss_coeff to None",
        )


def _check_shared_keys(layer: Any) -> None:
    changed = {
        "qk_norm": layer.qk_norm is not None,
        "positions": layer.positions == "rotary",
        "num_value_embeddings": layer.num_value_embeddings > 0,
    }
    name = next((name for name, is_set in changed.items() if is_set), None)
    if layer.shared_kv and name:
        raise ValueError(
            f"{class_name(layer)}.shared_kv = True and {name} = {getattr(layer, name)!r}: this "
            "changes keys or values alone, and they are the same; set one of them to its default"
        )
