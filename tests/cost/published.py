"""Published costs of models, for tests.

nanoGPT's transformer_sizing.ipynb (https://github.com/karpathy/nanoGPT): GPT-2 124M, forward and
training FLOPs of 1,024 tokens. marin's speedrun of 130M parameters with AdamW
(https://github.com/marin-community/marin): FLOPs of its run by levanter's formula.
"""

from typing import NamedTuple


class Gpt2(NamedTuple):
    """GPT-2 124M in nanoGPT."""

    sizes: tuple = (
        "d_model = 768",
        "num_layers = 12",
        "num_heads = 12",
        "d_kv = 64",
        "d_ff = 3072",
    )
    vocabulary: int = 50257
    length: int = 1024
    forward: int = 291_648_307_200
    training: int = 874_944_921_600


class Marin(NamedTuple):
    """marin's 130M AdamW."""

    layers: int = 6
    heads: int = 8
    sizes: tuple = (
        "d_model = 512",
        "num_layers = 6",
        "num_heads = 8",
        "d_kv = 64",
        "d_ff_gated = 1792",
    )
    vocabulary: int = 128_256
    length: int = 4096
    tokens: int = 2_599_944_192
    flops: float = 1.777337490915459e18


GPT2, MARIN = Gpt2(), Marin()
