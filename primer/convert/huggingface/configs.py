"""The configuration of a Hugging Face model for the slots of ours: `settings` the other way round.

Whether the configuration describes the same function is not decided here: `families` builds the
model of the configuration and compares it with the run's.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from primer.convert.huggingface import settings
from primer.errors import UsageError
from primer.layers import kind_pattern

Slots = Mapping[str, Any]
Config = dict[str, Any]

# Ours -> Hugging Face's; of several names for one function the one that its configurations have.
_ACTIVATIONS = {
    "gelu_exact": "gelu",
    "gelu": "gelu_new",
    "swish": "silu",
    "relu": "relu",
    "squared_relu": "relu2",
}
_KINDS = {"global": "full_attention", "local": "sliding_attention"}


def gpt2(slots: Slots, length: int) -> Config:
    """Returns the arguments of GPT2Config."""
    del length
    return {
        "n_embd": slots["d_model"],
        "n_layer": slots["num_layers"],
        "n_head": slots["num_heads"],
        "n_inner": slots["d_ff"],
        "n_positions": slots["max_length"],
        "activation_function": _activation(slots),
        "layer_norm_epsilon": slots["norm_epsilon"],
        "scale_attn_weights": slots["attention_scale"] == "rsqrt",
        "tie_word_embeddings": slots["tied_embeddings"],
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }


def gpt_neo(slots: Slots, length: int) -> Config:
    """Returns the arguments of GPTNeoConfig."""
    del length
    return {
        "hidden_size": slots["d_model"],
        "num_layers": slots["num_layers"],
        "num_heads": slots["num_heads"],
        "intermediate_size": slots["d_ff"],
        "max_position_embeddings": slots["max_length"],
        "activation_function": _activation(slots),
        "layer_norm_epsilon": slots["norm_epsilon"],
        "attention_types": [[_kinds(slots), 1]],
        "window_size": slots["window"],
        "tie_word_embeddings": slots["tied_embeddings"],
    }


def gpt_neox(slots: Slots, length: int) -> Config:
    """Returns the arguments of GPTNeoXConfig."""
    return {
        "hidden_size": slots["d_model"],
        "num_hidden_layers": slots["num_layers"],
        "num_attention_heads": slots["num_heads"],
        "intermediate_size": slots["d_ff"],
        "max_position_embeddings": length,
        "hidden_act": _activation(slots),
        "layer_norm_eps": slots["norm_epsilon"],
        "use_parallel_residual": slots["layer_stack"] == "@ParallelLayerStack",
        "rotary_pct": slots["rotary_fraction"],
        "rotary_emb_base": slots["rotary_base"],
        "rope_parameters": {
            **_rope(slots),
            "partial_rotary_factor": slots["rotary_fraction"],
        },
        "attention_bias": slots["attention_biases"] == "all",
        "tie_word_embeddings": slots["tied_embeddings"],
    }


def llama(slots: Slots, length: int) -> Config:
    """Returns the arguments of LlamaConfig."""
    return {**_gated(slots, length), "mlp_bias": slots["feed_forward_bias"]}


def qwen3(slots: Slots, length: int) -> Config:
    """Returns the arguments of Qwen3Config."""
    kinds = _kinds(slots)
    return {
        **_gated(slots, length),
        "layer_types": [_KINDS.get(kind, kind) for kind in kinds],
        "use_sliding_window": "local" in kinds,
        "sliding_window": slots["window"] if "local" in kinds else None,
        "max_window_layers": kinds.index("local") if "local" in kinds else len(kinds),
    }


def gemma2(slots: Slots, length: int) -> Config:
    """Returns the arguments of Gemma2Config."""
    found = _gated(slots, length)
    found["hidden_activation"] = found["hidden_act"]
    return {
        **found,
        "layer_types": [_KINDS.get(kind, kind) for kind in _kinds(slots)],
        "sliding_window": slots["window"],
        "query_pre_attn_scalar": _query_scalar(slots),
        "attn_logit_softcapping": slots["attention_logit_cap"],
        "final_logit_softcapping": slots["logit_cap"],
    }


# Family -> (its configuration for our slots, its class).
OF_FAMILY: dict[str, tuple[Callable[[Slots, int], Config], str]] = {
    "gpt2": (gpt2, "GPT2LMHeadModel"),
    "gpt_neo": (gpt_neo, "GPTNeoForCausalLM"),
    "gpt_neox": (gpt_neox, "GPTNeoXForCausalLM"),
    "llama": (llama, "LlamaForCausalLM"),
    "qwen3": (qwen3, "Qwen3ForCausalLM"),
    "gemma2": (gemma2, "Gemma2ForCausalLM"),
}


def of_family(family: str, slots: Slots, vocabulary_size: int, length: int) -> Config:
    """Returns the config.json of a family for the slots of our model.

    Args:
        family: a key of OF_FAMILY.
        slots: {slot: value} of our model; references to functions are texts, "@ParallelLayerStack".
        vocabulary_size: token ids, without padding.
        length: tokens of the model's window, where its positions have no limit.

    Raises:
        UsageError: a slot has a value for which the family has no setting.
    """
    config, name = OF_FAMILY[family]
    return {
        "model_type": family,
        "architectures": [name],
        "torch_dtype": "float32",
        "vocab_size": vocabulary_size,
        **config(slots, length),
    }


def _gated(slots: Slots, length: int) -> Config:
    """What the models with RMS norm, rotary positions and gated layers share."""
    heads = slots["num_heads"]
    return {
        "hidden_size": slots["d_model"],
        "num_hidden_layers": slots["num_layers"],
        "num_attention_heads": heads,
        "num_key_value_heads": slots["num_memory_heads"] or heads,
        "head_dim": slots["d_kv"],
        "intermediate_size": slots["d_ff_gated"],
        "max_position_embeddings": length,
        "hidden_act": _activation(slots),
        "rms_norm_eps": slots["norm_epsilon"],
        "rope_theta": slots["rotary_base"],
        "rope_parameters": _rope(slots),
        "attention_bias": slots["attention_biases"] == "all",
        "attention_dropout": 0.0,
        "tie_word_embeddings": slots["tied_embeddings"],
    }


def _rope(slots: Slots) -> Config:
    return {"rope_type": "default", "rope_theta": slots["rotary_base"]}


def _activation(slots: Slots) -> str:
    """Returns Hugging Face's name of the activation, of a gated unit that of its gate."""
    value = slots["activation"]
    name = str(value[0] if isinstance(value, (list, tuple)) else value).removeprefix("@")
    if name not in _ACTIVATIONS:
        raise UsageError(f"activation = {value!r}: expected one of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]


def _kinds(slots: Slots) -> list[str]:
    """Returns the kind of each layer's attention."""
    kinds = kind_pattern.expand(slots["attention_kinds"] or ["global"])
    found = [kinds[i % len(kinds)] for i in range(slots["num_layers"])]
    unknown = next((kind for kind in found if kind not in _KINDS), None)
    if unknown:
        raise UsageError(f"attention_kinds has {unknown!r}: expected {' and '.join(_KINDS)}")
    return found


def _query_scalar(slots: Slots) -> float:
    """Returns d for a scale of the logits of d^-0.5."""
    scale = slots["attention_scale"]
    if scale == "rsqrt":
        return slots["d_kv"]
    if isinstance(scale, (int, float)) and scale > 0:
        size = float(scale) ** -2
        return round(size) if math.isclose(size, round(size), rel_tol=1e-9) else size
    raise UsageError(f"attention_scale = {scale!r}: expected 'rsqrt' or a number above 0")


assert set(OF_FAMILY) == set(settings.OF_FAMILY)
