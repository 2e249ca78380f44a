"""The names of the weights of each family of Hugging Face, and ours."""

from collections.abc import Mapping

from primer.convert.huggingface import layouts
from primer.convert.huggingface.layouts import SAME, TRANSPOSED
from primer.convert.huggingface.weights import EMBEDDING, OUTPUT, THEIR_OUTPUT, Weight

_NORMS = {
    "layer": (
        "true_layer_norm/layer_prepostprocess/layer_norm/layer_norm_scale",
        "true_layer_norm/layer_prepostprocess/layer_norm/layer_norm_bias",
    ),
    "rms": ("rms_norm/scale",),
}


def gpt2(slots: Mapping) -> list[Weight]:
    """Returns the weights of a GPT2LMHeadModel for the slots of our model."""
    found = _tables(slots, "transformer.wte", "transformer.wpe")
    thirds = layouts.side_by_side(3)
    for i in range(slots["num_layers"]):
        theirs, (attention, dense) = f"transformer.h.{i}", _layers(i)
        found += _norm("layer", f"{theirs}.ln_1", attention)
        heads = [f"{attention}/SelfAttention/{name}" for name in "qkv"]
        found.append(Weight(f"{theirs}.attn.c_attn.weight", tuple(heads), thirds))
        found.append(Weight(f"{theirs}.attn.c_attn.bias", _biases(heads), thirds))
        o = f"{attention}/SelfAttention/o"
        found += [Weight(f"{theirs}.attn.c_proj.weight", (o,)), _o_bias(f"{theirs}.attn.c_proj", o)]
        found += _norm("layer", f"{theirs}.ln_2", dense)
        for theirs_of, ours in (("c_fc", "wi"), ("c_proj", "wo")):
            name = f"{dense}/DenseReluDense/{ours}"
            found.append(Weight(f"{theirs}.mlp.{theirs_of}.weight", (f"{name}/kernel",)))
            found.append(Weight(f"{theirs}.mlp.{theirs_of}.bias", (f"{name}/bias",)))
    return found + _norm("layer", "transformer.ln_f", "transformer")


def gpt_neo(slots: Mapping) -> list[Weight]:
    """Returns the weights of a GPTNeoForCausalLM for the slots of our model."""
    found = _tables(slots, "transformer.wte", "transformer.wpe")
    for i in range(slots["num_layers"]):
        theirs, (attention, dense) = f"transformer.h.{i}", _layers(i)
        found += _norm("layer", f"{theirs}.ln_1", attention)
        for name in "qkv":
            found += _linear(
                f"{theirs}.attn.attention.{name}_proj", f"{attention}/SelfAttention/{name}", False
            )
        o = f"{attention}/SelfAttention/o"
        found += _linear(f"{theirs}.attn.attention.out_proj", o, False)
        found.append(_o_bias(f"{theirs}.attn.attention.out_proj", o))
        found += _norm("layer", f"{theirs}.ln_2", dense)
        found += _dense(dense, {"wi": f"{theirs}.mlp.c_fc", "wo": f"{theirs}.mlp.c_proj"}, True)
    return found + _norm("layer", "transformer.ln_f", "transformer")


def gpt_neox(slots: Mapping) -> list[Weight]:
    """Returns the weights of a GPTNeoXForCausalLM for the slots of our model."""
    found = _tables(slots, "gpt_neox.embed_in")
    has_bias = slots["attention_biases"] == "all"
    # The rows of the fused matrix are those of q, k and v of the first head, then of the next head.
    heads = slots["num_heads"]
    for i in range(slots["num_layers"]):
        theirs, (attention, dense) = f"gpt_neox.layers.{i}", _layers(i)
        found += _norm("layer", f"{theirs}.input_layernorm", attention)
        ours = tuple(f"{attention}/SelfAttention/{name}" for name in "qkv")
        fused = layouts.of_each_head_transposed(heads)
        found.append(Weight(f"{theirs}.attention.query_key_value.weight", ours, fused))
        o = f"{attention}/SelfAttention/o"
        found += _linear(f"{theirs}.attention.dense", o, False)
        if has_bias:
            fused = layouts.of_each_head(heads)
            found.append(Weight(f"{theirs}.attention.query_key_value.bias", _biases(ours), fused))
            found.append(_o_bias(f"{theirs}.attention.dense", o))
        found += _norm("layer", f"{theirs}.post_attention_layernorm", dense)
        parts = {"wi": f"{theirs}.mlp.dense_h_to_4h", "wo": f"{theirs}.mlp.dense_4h_to_h"}
        found += _dense(dense, parts, True)
    return found + _norm("layer", "gpt_neox.final_layer_norm", "transformer")


def llama(slots: Mapping) -> list[Weight]:
    """Returns the weights of a LlamaForCausalLM, or of a Qwen3ForCausalLM, for our slots."""
    found = _tables(slots, "model.embed_tokens")
    for i in range(slots["num_layers"]):
        theirs, (attention, dense) = f"model.layers.{i}", _layers(i)
        found += _norm("rms", f"{theirs}.input_layernorm", attention)
        found += _gated_layers(slots, theirs, attention, dense)
        found += _norm("rms", f"{theirs}.post_attention_layernorm", dense)
    return found + _norm("rms", "model.norm", "transformer")


def qwen3(slots: Mapping) -> list[Weight]:
    """Returns the weights of a Qwen3ForCausalLM for the slots of our model."""
    found = llama(slots)
    for i in range(slots["num_layers"]):
        attention, _ = _layers(i)
        for name in ("q_norm", "k_norm"):
            theirs = f"model.layers.{i}.self_attn.{name}.weight"
            found.append(Weight(theirs, (f"{attention}/SelfAttention/{name}/scale",)))
    return found


def gemma2(slots: Mapping) -> list[Weight]:
    """Returns the weights of a Gemma2ForCausalLM for the slots of our model."""
    found = _tables(slots, "model.embed_tokens")
    for i in range(slots["num_layers"]):
        theirs, (attention, dense) = f"model.layers.{i}", _layers(i)
        found += _norm("rms", f"{theirs}.input_layernorm", attention, less=1)
        found += _norm(
            "rms", f"{theirs}.post_attention_layernorm", f"{attention}/post_norm", less=1
        )
        found += _gated_layers(slots, theirs, attention, dense)
        found += _norm("rms", f"{theirs}.pre_feedforward_layernorm", dense, less=1)
        found += _norm("rms", f"{theirs}.post_feedforward_layernorm", f"{dense}/post_norm", less=1)
    return found + _norm("rms", "model.norm", "transformer", less=1)


OF_FAMILY = {f.__name__: f for f in (gpt2, gpt_neo, gpt_neox, llama, qwen3, gemma2)}


def _layers(block: int) -> tuple[str, str]:
    """The scopes of a block's attention and feed-forward layer."""
    scope = f"transformer/block_{block:03d}"
    return f"{scope}/layer_000", f"{scope}/layer_001"


def _tables(slots, embedding, positions=None):
    found = [Weight(f"{embedding}.weight", (EMBEDDING,))]
    if positions:
        found.append(Weight(f"{positions}.weight", ("transformer/positional_embedding",)))
    if not slots["tied_embeddings"]:
        found.append(Weight(THEIR_OUTPUT, (OUTPUT,), TRANSPOSED))
    return found


def _norm(kind, theirs, scope, less=0):
    """The scale and bias of a norm; `less` is what their scale leaves out."""
    layout = layouts.without(less) if less else SAME
    scale = Weight(f"{theirs}.weight", (f"{scope}/{_NORMS[kind][0]}",), layout)
    biases = [Weight(f"{theirs}.bias", (f"{scope}/{name}",)) for name in _NORMS[kind][1:]]
    return [scale, *biases]


def _linear(theirs, ours, has_bias):
    """A Linear whose matrix is our variable `ours`, with its bias under the same scope."""
    bias = [Weight(f"{theirs}.bias", (f"{ours.removesuffix('/kernel')}/bias",))]
    return [Weight(f"{theirs}.weight", (ours,), TRANSPOSED)] + bias * has_bias


def _dense(scope, parts, has_bias):
    found = []
    for ours, theirs in parts.items():
        found += _linear(theirs, f"{scope}/DenseReluDense/{ours}/kernel", has_bias)
    return found


def _gated_layers(slots, theirs, attention, dense):
    """The projections of attention and the matrices of a gated feed-forward layer."""
    found = []
    for name in "qkvo":
        ours = f"{attention}/SelfAttention/{name}"
        found += _linear(f"{theirs}.self_attn.{name}_proj", ours, False)
        if slots["attention_biases"] == "all":
            found.append(Weight(f"{theirs}.self_attn.{name}_proj.bias", _biases([ours])))
    parts = {"wi_0": "gate_proj", "wi_1": "up_proj", "wo": "down_proj"}
    parts = {ours: f"{theirs}.mlp.{name}" for ours, name in parts.items()}
    return found + _dense(dense, parts, slots.get("feed_forward_bias", False))


def _biases(names):
    return tuple(f"{name}_bias" for name in names)


def _o_bias(theirs, o):
    return Weight(f"{theirs}.bias", _biases([o]))
