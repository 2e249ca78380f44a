"""The settings of a GShard model of Lingvo's, as a golden file records them, as our gin files.

Every size and setting comes from `config`, the parameters of Lingvo's UniTransformer and of its
builder as texts. Two bindings replace defaults of ours by what Lingvo does: its mask compares
positions in the text, and with one head of keys it has no cap.
"""

from primer.gin_config import config_files

# Lingvo's activation of a feed-forward layer without a gate -> our file.
_ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "sqr_relu": "squared_relu"}
_STACKS = {
    "pre": "@PreNormLayerStack",
    "primer": "@PrePostNormLayerStack",
    "primer_hybrid": "@SandwichNormLayerStack",
}
_NORMS = {"ln": "@sublayer_rms_norm", "pn": "@sublayer_uncentered_primer_norm"}


class Settings:
    """The parameters of a model of Lingvo's.

    Args:
        config: the golden file's `config`, read from JSON.
    """

    def __init__(self, config):
        self.params = config["params"]
        self.layers_are_primer = self.flag("multi_dconv_head_att")

    def text(self, name):
        return self.params[name].strip("'")

    def flag(self, name):
        return {"True": True, "False": False}[self.params[name]]

    def number(self, name):
        """Returns a number; 0 for Lingvo's None."""
        return 0 if self.params[name] == "NoneType" else float(self.params[name])

    def of_builder(self, name):
        return self.number(f"builder.{name}")

    @property
    def vocabulary_size(self):
        return int(self.number("vocab_size"))

    @property
    def files(self):
        """The gin files of the composition."""
        form = "gshard_learned_capped" if self.flag("positional_embedding") else "gshard"
        architecture = "gshard_primer_as_released" if self.layers_are_primer else form
        gated = self.flag("gated_gelu")
        activation = "geglu" if gated else _ACTIVATIONS[self.text("activation")]
        return config_files.composition_files(architecture, activation, "tiny")

    @property
    def bindings(self):
        """Bindings after the files: sizes, and what differs from the architecture's slots."""
        found = {**self._sizes(), **self._of_attention(), **self._of_loss()}
        found["Unitransformer.vocab_divisor"] = 1
        found["norm"] = _NORMS[self.text("norm_type")]
        found["layer_stack"] = _STACKS[self.text("norm_policy")]
        return tuple(f"{name} = {value}" for name, value in found.items())

    def _sizes(self):
        hidden, heads = int(self.of_builder("ff_dim")), int(self.of_builder("attention_num_heads"))
        return {
            "d_model": int(self.of_builder("model_dim")),
            "num_layers": int(self.number("num_transformer_layers")),
            "num_heads": heads,
            "num_memory_heads": int(self.of_builder("attention_num_memory_heads")),
            "d_kv": int(self.of_builder("attention_key_value_dim")),
            "d_ff": hidden,
            "d_ff_gated": hidden,
            "max_length": int(self.number("max_length")),
        }

    def _of_attention(self):
        extra = self.params["builder.attention_extra_logit"]
        one_head_of_keys = self.of_builder("attention_num_memory_heads") == 1
        cap = 0 if one_head_of_keys else self.of_builder("atten_logit_cap")
        buckets = int(self.of_builder("relative_attention_num_buckets"))
        distance = int(self.of_builder("relative_attention_max_distance"))
        learned = self.flag("positional_embedding")
        return {
            "positions": "'learned'" if learned else "'t5_bias'",
            "attention_extra_logit": None if extra == "NoneType" else float(extra),
            "attention_logit_cap": cap or None,
            "SelfAttention.relative_attention_num_buckets": buckets,
            "MultiHeadAttention.relative_max_distance": distance,
            "MultiHeadAttention.causal_by_position": True,
        }

    def _of_loss(self):
        """Lingvo's `builder.label_smoothing` is of translation models: only the model's counts."""
        by_size = self.flag("use_tgt_labels_size_as_loss_denominator")
        return {
            "z_loss": self.number("z_loss"),
            "Unitransformer.label_smoothing": self.number("label_smoothing"),
            "Unitransformer.loss_denominator": None if by_size else "'tokens'",
        }
