"""The gin files and bindings of a Hugging Face configuration.

Each function takes the arguments of a configuration's constructor, in a dict; what is missing has
the default of Hugging Face's class.
"""

import dataclasses
from typing import Any

from primer.errors import UsageError
from primer.gin_config import config_files

# Hugging Face's name -> ours, of a plain layer and of a gated one.
_PLAIN = {
    "gelu": "gelu_exact",
    "gelu_new": "gelu",
    "gelu_fast": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "silu": "swish",
    "swish": "swish",
    "relu": "relu",
    "relu2": "squared_relu",
}
_GATED = {"gelu": "geglu", "swish": "swiglu", "relu": "reglu"}
# Hugging Face's name of an attention layer -> the kind of ours.
_KINDS = {
    "global": "global",
    "full_attention": "global",
    "local": "local",
    "sliding_attention": "local",
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """A model of gin files.

    Attributes:
        architecture: the name of a file of architectures/.
        activation: the name of a file of activations/.
        slots: {slot or parameter: value}, values that gin can read back from their `repr`.
        vocabulary_size: the number of token ids, without padding.
    """

    architecture: str
    activation: str
    slots: dict[str, Any]
    vocabulary_size: int

    @property
    def files(self) -> list[str]:
        """The gin files of the model."""
        return config_files.composition_files(self.architecture, self.activation, "tiny")

    @property
    def bindings(self) -> list[str]:
        """The gin bindings of the model."""
        return [f"{name} = {_gin(value)}" for name, value in self.slots.items()]


def _gin(value):
    return value if isinstance(value, str) and value[:1] in "@[%" else repr(value)


def gpt2(config: dict) -> Settings:
    """Returns the settings of a GPT2Config."""
    width = config["n_embd"]
    return _settings(
        "gpt2",
        config,
        sizes=_sizes(
            width, config["n_layer"], config["n_head"], config.get("n_inner") or 4 * width
        ),
        activation=config.get("activation_function", "gelu_new"),
        norm_epsilon=config.get("layer_norm_epsilon", 1e-5),
        max_length=config.get("n_positions", 1024),
        attention_scale="rsqrt" if config.get("scale_attn_weights", True) else 1.0,
        tied_embeddings=config.get("tie_word_embeddings", True),
    )


def gpt_neo(config: dict) -> Settings:
    """Returns the settings of a GPTNeoConfig."""
    width = config["hidden_size"]
    heads, inner = config["num_heads"], config.get("intermediate_size") or 4 * width
    kinds = config.get("attention_layers")
    if kinds is None:
        types = config.get("attention_types", [[["global", "local"], 12]])
        kinds = [kind for pattern, count in types for kind in pattern * count]
    return _settings(
        "gpt_neo",
        config,
        sizes=_sizes(width, config["num_layers"], heads, inner),
        activation=config.get("activation_function", "gelu_new"),
        norm_epsilon=config.get("layer_norm_epsilon", 1e-5),
        max_length=config.get("max_position_embeddings", 2048),
        attention_kinds=[_kind(name) for name in kinds],
        window=config.get("window_size", 256),
        tied_embeddings=config.get("tie_word_embeddings", True),
    )


def gpt_neox(config: dict) -> Settings:
    """Returns the settings of a GPTNeoXConfig."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    parallel = config.get("use_parallel_residual", True)
    rotary = config.get("rope_parameters") or {}
    fraction = config.get("rotary_pct", rotary.get("partial_rotary_factor", 0.25))
    return _settings(
        "gpt_neox",
        config,
        sizes=_sizes(width, config["num_hidden_layers"], heads, config["intermediate_size"]),
        activation=config.get("hidden_act", "gelu"),
        norm_epsilon=config.get("layer_norm_eps", 1e-5),
        layer_stack="@ParallelLayerStack" if parallel else "@PreNormLayerStack",
        rotary_base=_base(config, config.get("rotary_emb_base", 10000.0)),
        rotary_fraction=fraction,
        attention_biases="all" if config.get("attention_bias", True) else "none",
        tied_embeddings=config.get("tie_word_embeddings", False),
    )


def llama(config: dict) -> Settings:
    """Returns the settings of a LlamaConfig."""
    heads = config["num_attention_heads"]
    return _gated(
        "llama",
        config,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_size=config.get("head_dim") or config["hidden_size"] // heads,
        activation=config.get("hidden_act", "silu"),
        feed_forward_bias=config.get("mlp_bias", False),
        tied_embeddings=config.get("tie_word_embeddings", False),
    )


def qwen3(config: dict) -> Settings:
    """Returns the settings of a Qwen3Config."""
    heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
    windowed = config.get("use_sliding_window", False)
    first = config.get("max_window_layers", 28) if windowed else layers
    kinds = ["global" if i < first else "local" for i in range(layers)]
    return _gated(
        "qwen3",
        config,
        kv_heads=config.get("num_key_value_heads", 32) or heads,
        head_size=config.get("head_dim", 128),
        activation=config.get("hidden_act", "silu"),
        attention_kinds=_kinds(config, kinds),
        window=config.get("sliding_window") or 4096,
        tied_embeddings=config.get("tie_word_embeddings", False),
    )


def gemma2(config: dict) -> Settings:
    """Returns the settings of a Gemma2Config."""
    layers = config["num_hidden_layers"]
    return _gated(
        "gemma2",
        config,
        kv_heads=config.get("num_key_value_heads", 4),
        head_size=config.get("head_dim", 256),
        activation=config.get("hidden_activation") or "gelu_pytorch_tanh",
        attention_kinds=_kinds(config, ["global" if i % 2 else "local" for i in range(layers)]),
        window=config.get("sliding_window", 4096),
        attention_scale=config.get("query_pre_attn_scalar", 256) ** -0.5,
        attention_logit_cap=config.get("attn_logit_softcapping", 50.0),
        logit_cap=config.get("final_logit_softcapping", 30.0),
        tied_embeddings=config.get("tie_word_embeddings", True),
    )


OF_FAMILY = {f.__name__: f for f in (gpt2, gpt_neo, gpt_neox, llama, qwen3, gemma2)}


def _gated(family, config, kv_heads, head_size, activation, **slots):
    """The settings that the models with RMS norm, rotary positions and gated layers share."""
    heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
    return _settings(
        family,
        config,
        sizes=_sizes(
            config["hidden_size"], layers, heads, config["intermediate_size"], head_size, kv_heads
        ),
        activation=activation,
        gated=True,
        norm_epsilon=config.get("rms_norm_eps", 1e-6),
        rotary_base=_base(config, 10000.0),
        attention_biases="all" if config.get("attention_bias", False) else "none",
        **slots,
    )


def _settings(family, config, sizes, activation, gated=False, **slots):
    if activation not in _PLAIN:
        raise UsageError(f"the activation is {activation!r}: expected one of {', '.join(_PLAIN)}")
    plain = _PLAIN[activation]
    name = _GATED.get(plain, plain) if gated else plain
    if gated and name == plain:  # No file of activations/ has this gated unit.
        slots["activation"] = f'[{"@" if plain == "gelu_exact" else ""}{plain}, "linear"]'
    return Settings(family, name, {**sizes, **slots}, config.get("vocab_size", 50257))


def _sizes(width, layers, heads, inner, head_size=None, kv_heads=None):
    return {
        "d_model": width,
        "num_layers": layers,
        "num_heads": heads,
        "d_kv": head_size or width // heads,
        "num_memory_heads": 0 if kv_heads in (None, heads) else kv_heads,
        "d_ff": inner,
        "d_ff_gated": inner,
    }


def _base(config, default):
    """The base of rotary positions, an argument of its own or, from transformers 5, in a dict."""
    parameters = config.get("rope_parameters") or {}
    scaled = config.get("rope_scaling") or {}
    kind = scaled.get("rope_type", scaled.get("type", parameters.get("rope_type", "default")))
    if kind != "default":
        raise UsageError(f"the rotary positions are scaled ({kind}): expected 'default'")
    return float(parameters.get("rope_theta", config.get("rope_theta", default)))


def _kinds(config, default):
    kinds = config.get("layer_types")
    return default if kinds is None else [_kind(name) for name in kinds]


def _kind(name):
    if name not in _KINDS:
        raise UsageError(f"a layer's attention is {name!r}: expected one of {', '.join(_KINDS)}")
    return _KINDS[name]
