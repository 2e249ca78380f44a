"""The parameters of published models, from their configurations by formulas of their own.

The formulas follow each paper's equations, with the names of the published configurations. They
share no code with Primer's.
"""

import dataclasses

# T5's vocabulary, for which google-research Primer's models are counted.
T5_VOCABULARY = 32128
GPT2_VOCABULARY = 50257


@dataclasses.dataclass(frozen=True)
class Published:
    """A published model.

    Attributes:
        parameters: its trainable parameters, by the formula.
        vocabulary: the number of token ids, without padding.
        reported: the exact number that its authors or Hugging Face's files report; None without
            one.
        rounded: what its name says.
    """

    parameters: int
    vocabulary: int
    reported: int | None
    rounded: float


def gpt2(n_embd, n_layer, n_ctx, n_vocab=GPT2_VOCABULARY, channels=None, qkv_biases=True):
    """GPT-2, GPT-3 and, without biases of queries, keys and values, GPT-Neo."""
    channels = channels or n_embd  # Of all heads together.
    attention = 4 * n_embd * channels + (3 * channels if qkv_biases else 0) + n_embd
    feed_forward = n_embd * 4 * n_embd + 4 * n_embd + 4 * n_embd * n_embd + n_embd
    norms = 2 * (n_embd + n_embd)
    embeddings = n_vocab * n_embd + n_ctx * n_embd
    return embeddings + n_layer * (attention + feed_forward + norms) + 2 * n_embd


def gpt_neox(hidden_size, num_layers, vocabulary=50304):
    """GPT-NeoX and Pythia: input and output tables, biases everywhere."""
    query_key_value = hidden_size * 3 * hidden_size + 3 * hidden_size
    dense = hidden_size * hidden_size + hidden_size
    up = hidden_size * 4 * hidden_size + 4 * hidden_size
    down = 4 * hidden_size * hidden_size + hidden_size
    norms = 2 * (hidden_size + hidden_size)
    layer = query_key_value + dense + up + down + norms
    return 2 * vocabulary * hidden_size + num_layers * layer + 2 * hidden_size


def llama(
    hidden_size,
    num_layers,
    intermediate_size,
    vocab_size,
    heads,
    kv_heads,
    head_dim,
    tied,
    qk_norm=False,
    norms=2,
):
    """LLaMA, Qwen3 (norms of queries and keys) and Gemma 2 (four norms in a layer)."""
    queries_and_output = 2 * hidden_size * heads * head_dim
    keys_and_values = 2 * hidden_size * kv_heads * head_dim
    gated = 3 * hidden_size * intermediate_size
    scales = norms * hidden_size + (2 * head_dim if qk_norm else 0)
    layer = queries_and_output + keys_and_values + gated + scales
    tables = (1 if tied else 2) * vocab_size * hidden_size
    return tables + num_layers * layer + hidden_size


def tensor2tensor(hidden_size, filter_size, num_hidden_layers, vocabulary):
    """The decoder of Tensor2Tensor's Transformer with tables of its own for input and output."""
    attention = 4 * hidden_size * hidden_size
    feed_forward = 2 * hidden_size * filter_size + filter_size + hidden_size
    norms = 2 * (hidden_size + hidden_size)
    layers = num_hidden_layers * (attention + feed_forward + norms)
    return 2 * vocabulary * hidden_size + layers + 2 * hidden_size


def gshard(model_dim, hidden_dim, num_heads, num_layers, gated, max_length=0, d_kv=128, buckets=32):
    """Lingvo's DenseLm*: with a gate relative biases in each layer, else learned positions."""
    attention = 4 * model_dim * num_heads * d_kv + (num_heads * buckets if gated else 0)
    feed_forward = (3 if gated else 2) * model_dim * hidden_dim
    tables = 32000 * model_dim + max_length * model_dim
    return tables + num_layers * (attention + feed_forward + 2 * model_dim) + model_dim


def _gpt2(name, n_embd, n_layer, reported):
    return Published(gpt2(n_embd, n_layer, 1024), GPT2_VOCABULARY, reported, name)


def _gpt_neo(name, n_embd, n_layer, reported):
    count = gpt2(n_embd, n_layer, 2048, qkv_biases=False)
    return Published(count, GPT2_VOCABULARY, reported, name)


def _pythia(name, hidden_size, num_layers, reported):
    return Published(gpt_neox(hidden_size, num_layers), 50304, reported, name)


def _llama(name, hidden_size, num_layers, intermediate_size, heads, reported):
    shapes = (hidden_size, num_layers, intermediate_size, 32000, heads, heads, 128)
    return Published(llama(*shapes, tied=False), 32000, reported, name)


def _qwen3(name, hidden_size, intermediate_size, reported):
    shapes = (hidden_size, 28, intermediate_size, 151936, 16, 8, 128)
    return Published(llama(*shapes, tied=True, qk_norm=True), 151936, reported, name)


def _gemma2(name, hidden_size, num_layers, intermediate_size, heads, kv_heads, reported):
    shapes = (hidden_size, num_layers, intermediate_size, 256000, heads, kv_heads, 256)
    return Published(llama(*shapes, tied=True, norms=4), 256000, reported, name)


def _tensor2tensor(name, hidden_size, num_layers, vocabulary):
    count = tensor2tensor(hidden_size, 4 * hidden_size, num_layers, vocabulary)
    return Published(count, vocabulary, None, name)


def _gpt3(name, n_embd, n_layer, heads, d_head):
    count = gpt2(n_embd, n_layer, 2048, channels=heads * d_head)
    return Published(count, GPT2_VOCABULARY, None, name)


def _dense_lm(name, reported, *sizes, **more):
    return Published(gshard(*sizes, **more), 32000, reported, name)


def _dense_lm_128b():
    return _dense_lm(128 * 2**30, 137_702_416_384, 8192, 65536, 128, 64, gated=True)


def _dense_lm_12k_wide(name, reported, num_layers):
    return _dense_lm(name, reported, 12288, 49152, 96, num_layers, gated=False, max_length=2048)


# Lingvo's names count in units of 2^30 where they are not those of GPT-3's sizes (13B, 175B); that
# of 8B leaves out the embedding.
_DENSE_LM_8B = 8 * 2**30 + 32000 * 8192

# Name of models/ -> the model. GPT-3's 1.3B has 16 heads, not the table's 24, which do not give 1.3
# billion parameters.
PUBLISHED = {
    "gpt2_124m": _gpt2(124e6, 768, 12, 124_439_808),
    "gpt2_355m": _gpt2(355e6, 1024, 24, 354_823_168),
    "gpt2_774m": _gpt2(774e6, 1280, 36, 774_030_080),
    "gpt2_1558m": _gpt2(1558e6, 1600, 48, 1_557_611_200),
    "gpt_neo_125m": _gpt_neo(125e6, 768, 12, 125_198_592),
    "gpt_neo_1_3b": _gpt_neo(1.3e9, 2048, 24, 1_315_575_808),
    "gpt_neo_2_7b": _gpt_neo(2.7e9, 2560, 32, 2_651_307_520),
    "gpt_neo_gpt3_2_7b_256": _gpt_neo(2.7e9, 2560, 32, None),
    "pythia_14m": _pythia(14e6, 128, 6, 14_067_712),
    "pythia_31m": _pythia(31e6, 256, 6, 30_494_720),
    "pythia_70m": _pythia(70e6, 512, 6, 70_426_624),
    "pythia_160m": _pythia(160e6, 768, 12, 162_322_944),
    "pythia_410m": _pythia(410e6, 1024, 24, 405_334_016),
    "pythia_1b": _pythia(1e9, 2048, 16, 1_011_781_632),
    "llama_7b": _llama(6.7e9, 4096, 32, 11008, 32, 6_738_415_616),
    "llama_13b": _llama(13e9, 5120, 40, 13824, 40, 13_015_864_320),
    "qwen3_0_6b": _qwen3(0.6e9, 1024, 3072, 596_049_920),
    "qwen3_1_7b": _qwen3(1.7e9, 2048, 6144, 1_720_574_976),
    "gemma2_2b": _gemma2(2.6e9, 2304, 26, 9216, 8, 4, 2_614_341_888),
    "gemma2_9b": _gemma2(9.2e9, 3584, 42, 14336, 16, 8, 9_241_705_984),
    "tensor2tensor_lm_tpu_0": _tensor2tensor(92e6, 1024, 6, 8192),
    "tensor2tensor_lm_tpu_1": _tensor2tensor(335e6, 2048, 6, 8192),
    "tensor2tensor_wikitext103_l4k": _tensor2tensor(649e6, 1024, 8, 267_735),
    "gpt3_125m": _gpt3(125e6, 768, 12, 12, 64),
    "gpt3_350m": _gpt3(350e6, 1024, 24, 16, 64),
    "gpt3_760m": _gpt3(760e6, 1536, 24, 16, 96),
    "gpt3_1_3b": _gpt3(1.3e9, 2048, 24, 16, 128),
    "gpt3_2_7b": _gpt3(2.7e9, 2560, 32, 32, 80),
    "gpt3_6_7b": _gpt3(6.7e9, 4096, 32, 32, 128),
    "gpt3_13b": _gpt3(13e9, 5140, 40, 40, 128),
    "gpt3_175b": _gpt3(175e9, 12288, 96, 96, 128),
    "dense_lm_8b_2x2": _dense_lm(_DENSE_LM_8B, 8_852_168_704, 8192, 65536, 128, 4, gated=True),
    "dense_lm_128b_8x8": _dense_lm_128b(),
    "dense_lm_128b_16x16": _dense_lm_128b(),
    "dense_lm_128b_32x32": _dense_lm_128b(),
    "dense_lm_1t_16x16": _dense_lm(2**40, 1_100_041_175_040, 16384, 131072, 256, 128, gated=True),
    "dense_lm_13b_32x32": _dense_lm(
        13e9, 12_757_652_480, 5120, 20480, 40, 40, gated=False, max_length=2048
    ),
    "dense_lm_175b_32x32": _dense_lm_12k_wide(175e9, 174_366_928_896, 96),
    "dense_lm_175b_32x32_dp": _dense_lm_12k_wide(175e9, 174_366_928_896, 96),
    "dense_lm_12k_wide_41b_adam_8x8": _dense_lm_12k_wide(41 * 2**30, 43_905_527_808, 24),
    "dense_lm_12k_wide_41b_adam_16x16": _dense_lm_12k_wide(41 * 2**30, 43_905_527_808, 24),
    "dense_lm_12k_wide_162b_adam_16x16": _dense_lm_12k_wide(162 * 2**30, 174_366_928_896, 96),
}
