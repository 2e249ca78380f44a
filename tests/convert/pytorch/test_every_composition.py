"""The PyTorch file of every composition computes our logits: packed, at once, and in steps."""

import pytest

from tests import gin_models
from tests.convert.pytorch import exported
from tests.layers import composition_checks, test_every_composition

pytestmark = exported.NEEDS_TORCH
QUICK = [("primer", "switch")]
SLOW = [c for c in gin_models.run_compositions() if c not in QUICK]


def cases(compositions):
    return {gin_models.name_of(c): test_every_composition.case(c) for c in compositions}


def test_logits_of_primer_with_experts(tmp_path):
    exported.check(cases(QUICK), tmp_path)


@pytest.mark.slow
def test_transformers_load_the_file(tmp_path):
    name = "primer_modern+switch"
    found = exported.check(cases([("primer_modern", "switch")]), tmp_path, transformers=[name])
    theirs = {key: found[f"{name}/transformers{key}"] for key in ("", "_greedy")}
    assert abs(found[f"{name}/whole"] - theirs[""]).max() < 1e-6
    assert (found[f"{name}/greedy"] == theirs["_greedy"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_logits(part, tmp_path):
    exported.check(cases(SLOW[part::4]), tmp_path)


# Settings that no architecture has -> the architecture, bindings.
OPTIONS = {
    "vectors_shift_values": (
        "llama",
        "num_persistent_vectors = 3",
        "num_value_embeddings = 1",
        "token_shift = True",
        "num_layers = 2",
        "attention_logit_cap = 5.0",
        "attention_extra_logit = 0.5",
        "num_memory_heads = 2",
        'attention_biases = "all"',
    ),
    "alibi_one_head_of_keys": ("gpt2", 'positions = "alibi"', "num_memory_heads = 1"),
    "linear": (
        "gpt_neo",
        'attention_kinds = ["linear", "global"]',
        "num_layers = 2",
        'positions = "rotary"',
        'qk_norm = "rms_unscaled"',
    ),
    "xl_learned": (
        "transformer_xl",
        'positions = "transformer_xl_learned"',
        "num_distances = 10",
        "clamp_length_eval = 7",
        "layer_stack = @PrePostNormLayerStack",
        'PrePostNormLayerStack.post_norm_layers = "all"',
    ),
    "memory": ("transformer_xl", "memory_length = 5", "segment_length_eval = 7"),
    "memory_of_one_length": (
        "primer",
        "memory_length = 5",
        "segment_length_eval = 4",
        "same_length_eval = True",
        'attention_kinds = ["global", "local"]',
        "num_layers = 2",
    ),
    "adaptive": (
        "transformer_xl",
        "token_embedding = @AdaptiveEmbedding",
        "embedding_cutoffs = [20, 60]",
        "embedding_div_val = 2",
        "tied_projections = [True, False, True]",
        'logit_scale = "rsqrt"',
    ),
    "adaptive_untied": (
        "llama",
        "token_embedding = @AdaptiveEmbedding",
        "embedding_cutoffs = [40]",
        "d_embed = 24",
        "tied_projections = False",
    ),
    "xl_untied": (
        "transformer_xl",
        "untie_relative_biases = True",
        "clamp_length_eval = 7",
        "norm = @sublayer_scale_norm",
    ),
    "mdha": (
        "primer",
        "MDHA.kernel_size = 5",
        "MDHA.rescale_shared_keys = True",
        "num_memory_heads = 2",
        "SelfAttention.fold_scaling_into_initializer = False",
        'positions = "t5_bias"',
    ),
    "shared_kv": ("primer_ez", "SelfAttention.shared_kv = True", "num_persistent_vectors = 2"),
    "experts": (
        "primer",
        "MixtureOfExperts.gating = 'top_n'",
        "MixtureOfExperts.num_experts_per_token = 3",
        "MixtureOfExperts.second_policy_eval = 'threshold'",
    ),
    "noisy": ("primer", "MixtureOfExperts.gating = 'noisy'", "activation = ['swish', 'linear']"),
    **{
        f"synthesizer_{mode}": ("synthesizer", f"SynthesizerAttention.synthesize_mode = '{mode}'")
        for mode in ("random", "factorized", "dense", "dense_minus", "random_plus_alpha")
    },
    "synthesizer_dense_plus": (
        "synthesizer",
        "SynthesizerAttention.synthesize_mode = 'dense_plus_alpha'",
        "num_memory_heads = 2",
    ),
}


def option_case(name):
    architecture, *bindings = OPTIONS[name]
    overlay = "fastmoe" if name in ("experts", "noisy") else None
    files = gin_models.files(architecture, overlay=overlay)
    fewest = gin_models.fewest_block_bindings(architecture, overlay)
    return composition_checks.Case(tuple(files), (*fewest, "window = 3", *bindings))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_logits_with_other_settings(part, tmp_path):
    names = list(OPTIONS)[part::2]
    exported.check({name: option_case(name) for name in names}, tmp_path)
