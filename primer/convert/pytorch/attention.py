"""Attention layers: MultiHeadAttention in all its kinds, MDHA, and the Synthesizer."""

from collections.abc import Mapping
from typing import Any

from primer.convert.pytorch import attention_logits
from primer.convert.pytorch.attention_projections import Projections, Sizes
from primer.convert.pytorch.parts import Part, Settings, Weight
from primer.convert.pytorch.template import render
from primer.layers.attention import projections
from primer.layers.scales import resolve

_NAMES = {
    "SelfAttention": "Attention",
    "MultiHeadAttention": "Attention",
    "WindowedSelfAttention": "Attention",
    "DoubleHeadsAttention": "DoubleHeadsAttention",
    "MDHA": "ConvolvedAttention",
    "SynthesizerAttention": "SynthesizerAttention",
}
CLASSES = tuple(_NAMES)
# Of training, of other numerics, and of what `only` makes sure is off.
_WITHOUT_EFFECT = (
    *(
        "block_length",
        "clamp_length",
        "radius",
        "hyperprompt_hidden_dim",
        "relative_attention_type",
    ),
    *("hyperprompt_length_decoder", "hyperprompt_length_encoder", "hyperprompt_mtlshare"),
    *("hyperprompt_task_num", "window", "rotary_base", "rotary_fraction", "qk_norm_epsilon"),
    *("relative_attention_num_buckets", "relative_max_distance", "untie_relative_biases"),
    *("clamp_length_eval", "num_distances", "fold_scaling_into_initializer", "kernel_size"),
    *("rescale_shared_keys", "crosses_texts", "factorized_dim"),
)


def part(layer: Mapping[str, Any], table: int | None, shapes: Mapping[str, Any]) -> Part:
    """Returns the class of an attention layer.

    Args:
        layer: its settings, as a description has them.
        table: the number of its value embedding, or None.
        shapes: {variable under the layer's scope: its shape}.

    Raises:
        UsageError: a setting that the file cannot have.
    """
    base = layer["class"].partition("(")[0]
    own = Settings(base, layer)
    _check(own)
    sizes = Sizes(
        own("num_heads"), own("num_memory_heads") or own("num_heads"), own("key_value_size")
    )
    attention = _Attention(own, sizes, shapes)
    values = attention.values(base)
    text = render("attention", values)
    own.check_all_known()
    weights = dict(attention.weights)
    if own("num_value_embeddings"):
        if table is not None:
            weights["shares"] = Weight(("value_embedding/shares",))
    kind = {"local": "Local", "linear": "Linear"}.get(own("kind", "global"), "")
    arguments = f"table={table}" if own("num_value_embeddings") else ""
    return Part(kind + _NAMES[base], text, weights, frozenset(attention.needs), arguments)


def _check(own: Settings) -> None:
    own.only("attention_func", None)
    own.only("attention_kwargs", [])
    own.only("combine_dims", True)
    own.only("keep_query_heads_dims", False)
    own.only("use_hyperprompt", False)
    _check_memory(own)
    own.only("causal_by_position", False)
    positions = ("t5_bias_shared", "t5_bias", "rotary", "alibi", "learned", "sinusoid", "none")
    own.only("positions", None, *positions, "transformer_xl", "transformer_xl_learned")
    own.only("relative_attention_type", None, "bias", "bias_shared")
    own.without_effect(_WITHOUT_EFFECT)


def _check_memory(own: Settings) -> None:
    """Raises a UsageError for a memory that a mask of the keys cannot express."""
    memory = own("recurrence")
    if memory is None:
        return
    reach = Settings(f"{own.owner}.recurrence", memory)
    reach.only("zero_memory", False)
    reach.without_effect(("carry_in_training", "train", "evaluate"))
    reach.check_all_known()
    if own("kind", "global") == "linear":
        raise own.refusal("recurrence", memory, "None with kind = 'linear'")
    if own("positions") in ("learned", "sinusoid"):  # They begin again with each row of a stream.
        expected = "positions of which attention sees differences alone, with memory"
        raise own.refusal("positions", own("positions"), expected)


class _Attention(Projections):
    """Collects what the template of an attention layer needs."""

    def values(self, base: str) -> dict[str, Any]:
        """Returns the values of the template."""
        own, sizes = self.own, self.sizes
        single = self.shares_kv or not self.has_keys  # One weight "kv", as ours.
        lines = self.lines(single)
        values = {
            "name": "CLASS",
            "doc": self._doc(base),
            "arguments": ", table" if own("num_value_embeddings") else "",
            "has_q": self.has_queries and not self.shares_qk,
            "shared_qk": self.shares_qk,
            "has_k": self.has_keys and not self.shares_qk and not self.shares_kv,
            "shared_kv": single,
            "q_width": sizes.q_width,
            "k_width": sizes.k_width,
            "heads": sizes.heads,
            "kv_heads": sizes.kv_heads,
            "d_kv": sizes.d_kv,
            "projection_lines": lines,
            "has_keys": self.has_keys,
            "same_kv": self.shares_kv and self.has_keys,
            "grouped": sizes.heads != sizes.kv_heads,
            "group": sizes.heads // sizes.kv_heads,
            "vectors": own("num_persistent_vectors", 0),
            "value_embeddings": own("num_value_embeddings", 0),
            "output_bias": projections.BIASES[own("biases", "none")][1],
            "linear": own("kind", "global") == "linear",
        }
        self.add_weights(values)
        if self.has_keys:
            values |= self._transforms(values["vectors"])
        if own("spatial_gating", False):
            length = self.shapes["spatial_gate"][-1]
            values["spatial_gates"] = length
            self.weights["spatial_gate"] = Weight(("spatial_gate",), (sizes.kv_heads, length))
        self._persistent(values)
        if not values["linear"]:
            found = attention_logits.of_layer(own, sizes, self.shapes, values)
            values |= found.values
            self.weights |= found.weights
            self.needs |= found.needs
            self.parameters += found.parameters
        else:
            for setting in ("extra_logit", "logit_cap"):
                own.only(setting, None)
            self.needs.add("linear")
        values["parameter_lines"] = self.parameters
        return values

    def _doc(self, base: str) -> str:
        kind = {"local": f"the last {self.own('window')} keys", "linear": "sums of all keys so far"}
        seen = kind.get(self.own("kind", "global"), "all keys so far")
        names = {
            "MDHA": ", with convolutions behind the projections",
            "SynthesizerAttention": f", with learned logits (mode {self.mode})",
        }
        return f"Attention to {seen}{names.get(base, '')}."

    def _transforms(self, vectors: int) -> dict[str, Any]:
        """Returns what happens to queries and keys behind the projections."""
        own, d_kv = self.own, self.sizes.d_kv
        values: dict[str, Any] = {"unrotated": False}
        norm, epsilon = own("qk_norm"), own("qk_norm_epsilon", 1e-6)
        if norm == "rms":
            values |= {"head_norms": True, "normed": "self.q_norm(q), self.k_norm(k)"}
            values |= {"q_scale_learned": True, "head_norm": f"RMSNorm({d_kv}, {epsilon!r})"}
            self.needs.add("rms_norm")
            for name in ("q_norm", "k_norm"):
                self.weights[f"{name}.scale"] = Weight((f"{name}/scale",))
        elif norm is not None:
            one = "F.rms_norm({0}, {0}.shape[-1:], eps={1!r})"
            text = f"{one.format('q', epsilon)}, {one.format('k', epsilon)}"
            values |= {"head_norms": True, "normed": text}
        if own("positions") == "rotary":
            channels = round(own("rotary_fraction", 1.0) * d_kv)
            values |= {"rotary": True, "base": own("rotary_base", 10000.0), "channels": channels}
            values |= {"q_position": "position", "unrotated": bool(vectors)}
            self.needs.add("rotary")
        scale = own("scale")
        scale = "rsqrt" if scale is None and norm is not None else scale
        if scale is not None:
            factor = resolve("MultiHeadAttention.scale", scale, d_kv)
            values |= {"scale": repr(factor)}
        return values

    def _persistent(self, values: Mapping[str, Any]) -> None:
        names = ["persistent_keys", "persistent_values"]
        names = ["persistent_keys_values"] if values["same_kv"] else names
        if values["vectors"]:
            shape = (self.sizes.kv_heads, values["vectors"], self.sizes.d_kv)
            self.weights |= {name: Weight((name,), shape) for name in names}
