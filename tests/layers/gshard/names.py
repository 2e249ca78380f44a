"""Lingvo's names of the variables of a GShard model, and ours.

Lingvo numbers sublayers through the stack (`layer_000` attention, `layer_001` feed-forward, ...),
we layers within a block. Its heads are the slow part of `[d_model, heads * d_kv]`, as ours are, so
that no value moves. `gshard_sizes.json` names kinds of variables, with `L` for a number.
"""

import re

_PRIMER_NORM = "primer_norm/layer_prepostprocess/primer_norm/primer_norm"
# Lingvo's norms: `ln` is RMS norm, `pn` Primer's.
_NORMS = {
    "ln/w/scale": "rms_norm/scale",
    "pn/w_scale/scale": f"{_PRIMER_NORM}_scale",
    "pn/w_shift/shift": f"{_PRIMER_NORM}_bias",
}
_ATTENTION = {
    **{f"w/w{name}": name for name in "qkvo"},
    "wrb/wrb": "relative_attention_bias",
    **{f"{n}_dconv/w_{i}/scale": f"{n}_dconv/conv_{i}" for n in "qkv" for i in range(3)},
}
_FEED_FORWARD = ("wi", "wi_0", "wi_1", "wo")
# Of a layer: Lingvo's name, without `/var` -> ours.
OF_LAYER = {
    **_NORMS,
    **{f"post_{theirs}": f"post_norm/{ours}" for theirs, ours in _NORMS.items()},
    **{f"dec_self_attention/{t}": f"SelfAttention/{ours}" for t, ours in _ATTENTION.items()},
    **{f"multi_dconv_head_att/{t}": f"MDHA/{ours}" for t, ours in _ATTENTION.items()},
    **{f"dense_relu_dense/w/{n}": f"DenseReluDense/{n}/kernel" for n in _FEED_FORWARD},
}
# Outside of the layers.
OF_MODEL = {
    "dec_emb/w/embedding": "embedding",
    "dec_pos_emb/w/embedding": "positional_embedding",
    "decoder/final_layer_norm/w/scale": _NORMS["ln/w/scale"],
    "decoder/final_layer_norm/w_scale/scale": _NORMS["pn/w_scale/scale"],
    "decoder/final_layer_norm/w_shift/shift": _NORMS["pn/w_shift/shift"],
}
_LAYER = re.compile(r"decoder/layer_(\d+)/(.*)")
# `decoder/L/...`, or with Lingvo's USE_REPEAT_LAYER `decoder/blocks/L/blocks_body/L/...`.
_KIND = re.compile(r"decoder/(?:L|blocks/L/blocks_body/L)/(.*)")


def ours(name, layers_per_block=2, of_layer=OF_LAYER):
    """Returns our name of a variable of Lingvo's, such as `transformer/decoder/layer_000/ln/...`.

    Args:
        name: Lingvo's name, which ends in `/var`.
        layers_per_block: how many of Lingvo's sublayers one of our blocks has.
        of_layer: {Lingvo's name in a layer: ours}.
    """
    path = name.removeprefix("transformer/").removesuffix("/var")
    found = _LAYER.fullmatch(path)
    if found is None:
        return f"transformer/{OF_MODEL[path]}"
    block, layer = divmod(int(found[1]), layers_per_block)
    return f"transformer/block_{block:03d}/layer_{layer:03d}/{of_layer[found[2]]}"


def kind_of(name, of_layer=OF_LAYER):
    """Returns our name, without block and layer, of a kind of variables of `gshard_sizes.json`."""
    path = name.split()[0].removeprefix("transformer/").removesuffix("/var")
    found = _KIND.fullmatch(path)
    return of_layer[found[1]] if found else OF_MODEL[path]


def without_layer(name):
    """Returns one of our names without block and layer, as `kind_of` does."""
    return re.sub(r"block_\d+/layer_\d+/", "", name).removeprefix("transformer/")
