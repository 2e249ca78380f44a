"""The weights of a Transformer-XL of Hugging Face (transformers 4.35) under the names of ours.

`of_stack` covers the layers of architectures/transformer_xl.gin with shared or untied biases; the
tables of tokens and the output, adaptive or not, are those of the embedding.
"""

from collections.abc import Mapping

from primer.convert.huggingface import layouts
from primer.convert.huggingface.layouts import TRANSPOSED
from primer.convert.huggingface.weights import Weight

_NORM = "true_layer_norm/layer_prepostprocess/layer_norm/layer_norm"


def of_stack(slots: Mapping) -> list[Weight]:
    """Returns the weights of the layers of a TransfoXLModel.

    Args:
        slots: our slots: num_layers, and untie_relative_biases if it is set.
    """
    found = []
    if not slots.get("untie_relative_biases", False):
        found += of_biases("transformer", "transformer")
    for i in range(slots["num_layers"]):
        theirs = f"transformer.layers.{i}"
        attention, dense = (f"transformer/block_{i:03d}/layer_{k:03d}" for k in range(2))
        found += of_attention(f"{theirs}.dec_attn", f"{attention}/SelfAttention")
        if slots.get("untie_relative_biases", False):
            found += of_biases(f"{theirs}.dec_attn", f"{attention}/SelfAttention")
        found += _norm(f"{theirs}.dec_attn.layer_norm", attention)
        for name, ours in (("CoreNet.0", "wi"), ("CoreNet.3", "wo")):
            scope = f"{dense}/DenseReluDense/{ours}"
            found.append(Weight(f"{theirs}.pos_ff.{name}.weight", (f"{scope}/kernel",), TRANSPOSED))
            found.append(Weight(f"{theirs}.pos_ff.{name}.bias", (f"{scope}/bias",)))
        found += _norm(f"{theirs}.pos_ff.layer_norm", dense)
    return found


def of_attention(theirs: str, ours: str) -> list[Weight]:
    """Returns the matrices of an attention layer, `qkv_net`, `r_net` and `o_net`.

    Args:
        theirs: the name of a RelPartialLearnableMultiHeadAttn.
        ours: the scope of a MultiHeadAttention.
    """
    names = tuple(f"{ours}/{name}" for name in "qkv")
    return [
        Weight(f"{theirs}.qkv_net.weight", names, layouts.below_each_other(3)),
        Weight(f"{theirs}.r_net.weight", (f"{ours}/r",), TRANSPOSED),
        Weight(f"{theirs}.o_net.weight", (f"{ours}/o",), TRANSPOSED),
    ]


def of_biases(theirs: str, ours: str) -> list[Weight]:
    """Returns the biases u and v, `r_w_bias` and `r_r_bias`; arguments as `of_attention`."""
    return [Weight(f"{theirs}.{name}", (f"{ours}/{name}",)) for name in ("r_w_bias", "r_r_bias")]


def _norm(theirs, scope):
    return [
        Weight(f"{theirs}.weight", (f"{scope}/{_NORM}_scale",)),
        Weight(f"{theirs}.bias", (f"{scope}/{_NORM}_bias",)),
    ]
