"""The parameters of Transformer-XL's models, by a formula of their own.

The formula follows `pytorch/mem_transformer.py` and `utils/proj_adaptive_softmax.py` of
kimiyoung/transformer-xl, with the names of its settings. It shares no code with Primer's.
"""

import dataclasses

import numpy as np

ENWIK8_SYMBOLS, TEXT8_SYMBOLS = 204, 27
WIKITEXT103_WORDS, LM1B_WORDS = 267_735, 793_471


@dataclasses.dataclass(frozen=True)
class Setting:
    """The settings of a script; `published` is the paper's count, in millions, cut off."""

    n_token: int
    n_layer: int
    d_model: int
    n_head: int
    d_head: int
    d_inner: int
    published: int | None
    cutoffs: tuple[int, ...] = ()
    div_val: int = 1
    tie_projs: tuple[bool, ...] = (False,)
    experts: int = 0


def layers(s):
    """All layers, with the biases u and v that they share."""
    wide = s.n_head * s.d_head
    attention = s.d_model * 3 * wide + wide * s.d_model + s.d_model * wide  # qkv, o, r: no biases.
    hidden = s.d_model * s.d_inner + s.d_inner + s.d_inner * s.d_model + s.d_model
    if s.experts:
        hidden = s.experts * hidden + s.d_model * s.experts + s.experts  # And the gate.
    norms = 2 * (s.d_model + s.d_model)
    return s.n_layer * (attention + hidden + norms) + 2 * wide


def embedding(s):
    """(tables, the embedding's projections, the output's own projections)."""
    sizes = np.diff([0, *s.cutoffs, s.n_token])
    widths = s.d_model // s.div_val ** np.arange(len(sizes))
    tables = int(np.sum(sizes * widths))
    if s.div_val == 1:
        return tables, 0, 0  # All clusters have the model's width.
    projections = widths * s.d_model
    untied = ~np.array(s.tie_projs)
    return tables, int(projections.sum()), int(projections[untied].sum())


def softmax(s):
    """The biases of words, and the weights and biases of the clusters behind the first."""
    return s.n_token + len(s.cutoffs) * (s.d_model + 1)


def parameters(s):
    """All parameters; the tables are counted once, as the output shares them."""
    return layers(s) + sum(embedding(s)) + softmax(s)


_WT103 = (20_000, 40_000, 200_000)
_LM1B = (60_000, 100_000, 640_000)
_ALL_BUT_FIRST = (False, True, True, True)
_NONE = (False,) * 4

# Recipe -> the settings of its script.
SCRIPTS = {
    "transformer_xl_enwik8_base": Setting(ENWIK8_SYMBOLS, 12, 512, 8, 64, 2048, 41),
    "transformer_xl_enwik8_large": Setting(ENWIK8_SYMBOLS, 24, 1024, 8, 128, 3072, 277),
    "transformer_xl_text8_base": Setting(TEXT8_SYMBOLS, 12, 512, 8, 64, 2048, None),
    "transformer_xl_text8_large": Setting(TEXT8_SYMBOLS, 24, 1024, 8, 128, 3072, 277),
    "transformer_xl_wikitext103_base": Setting(
        WIKITEXT103_WORDS, 16, 410, 10, 41, 2100, 151, _WT103
    ),
    "transformer_xl_wikitext103_large": Setting(
        WIKITEXT103_WORDS, 18, 1024, 16, 64, 4096, None, _WT103, 4, _ALL_BUT_FIRST
    ),
    "transformer_xl_lm1b_base": Setting(LM1B_WORDS, 18, 1024, 8, 128, 4096, None, _LM1B, 4, _NONE),
    "transformer_xl_lm1b_large": Setting(LM1B_WORDS, 24, 1280, 16, 80, 8192, 841, _LM1B, 4, _NONE),
    "fastmoe_enwik8": Setting(ENWIK8_SYMBOLS, 12, 512, 8, 64, 1024, None, experts=64),
}

# What the paper counts and no script has. The base model of LM1B is that of issue 69; 16 layers of
# the large one of WikiText-103 are an inference from its count.
PAPER = {
    "WikiText-103, large": dataclasses.replace(
        SCRIPTS["transformer_xl_wikitext103_large"], n_layer=16, published=257
    ),
    "LM1B, base": dataclasses.replace(
        SCRIPTS["transformer_xl_lm1b_base"], n_layer=20, d_inner=6144, published=469
    ),
}
