"""Every value of every slot alone, and random compositions of slots, keep all promises of a layer.

The slots are those that gin/architectures/transformer.gin sets. A composition is a base
architecture with other values of some slots.
"""

import random

import pytest

from primer.layers import position_encodings
from primer.layers.attention import multi_head_settings, projections
from primer.layers.attention.options import qk_norm
from tests import gin_models, paths, slow
from tests.layers import composition_checks as checks

# What a value of None stands for: the kind of the layer's class.
SAME_AS_NONE = {"attention_kinds": ["global"]}


def others(slot, values):
    """Returns values other than the slot's default, as gin writes them."""
    default = gin_models.slots("defaults.gin")[slot]
    same = (default, SAME_AS_NONE.get(slot))
    return [repr(value) for value in values if value not in same]


# Slot -> values other than the default, as gin writes them.
VALUES = {
    "norm": ["@sublayer_rms_norm", "@sublayer_primer_norm", "@sublayer_scale_norm"],
    "norm_epsilon": ["1e-3"],
    "layer_stack": [
        "@PostNormLayerStack",
        "@SandwichNormLayerStack",
        "@PrePostNormLayerStack",
        "@ParallelLayerStack",
    ],
    "positions": others("positions", position_encodings.POSITIONS),
    "rotary_base": ["100.0"],
    "rotary_fraction": ["0.5"],
    "untie_relative_biases": ["True"],
    "clamp_length": ["3"],
    "clamp_length_eval": ["2"],
    "num_distances": ["4"],
    "attention_kinds": [
        *others("attention_kinds", [[kind] for kind in multi_head_settings.KINDS]),
        "['none', 'global']",
        "[[['local', 'global'], 1]]",
        "['linear', 'local']",
    ],
    "window": ["2", "5"],
    "qk_norm": others("qk_norm", qk_norm.KINDS),
    "attention_biases": others("attention_biases", projections.BIASES),
    "attention_scale": ["0.5", "'rsqrt'"],
    "attention_logit_cap": ["2.0"],
    "attention_extra_logit": ["0.0", "2.0"],
    "num_persistent_vectors": ["3"],
    "num_value_embeddings": ["1"],
    "token_shift": ["True"],
    "feed_forward_bias": ["False"],
    "tied_embeddings": ["False"],
    "embedding_scale": ["'sqrt'", "0.5"],
    "logit_scale": ["1.0", "'sqrt'", "'rsqrt'"],
    "logit_cap": ["3.0"],
    "mask_vocabulary_padding": ["True"],
    "token_embedding": ["@AdaptiveEmbedding"],
    "embedding_cutoffs": ["[20, 50]"],
    "embedding_div_val": ["2"],
    "d_embed": ["24"],
    "tied_projections": ["False", "[False, True, True]"],
    "num_memory_heads": ["1", "2"],
    "num_heads": ["1"],
    "share_qk_rep": ["True"],
    "spatial_gating": ["True"],
}
# Slots without effect on the logits of given variables, or that break a promise -> their tests.
ELSEWHERE = {
    "weight_stddev": "layers/test_initializers.py",
    "position_stddev": "layers/test_initializers.py",
    "projection_stddev": "layers/test_initializers.py",
    "residual_initializer": "layers/test_initializers.py",
    "relative_bias_stddev": "layers/test_initializers.py",
    "initializer_distribution": "layers/test_initializers.py",
    "convolution_crosses_texts": "layers/attention/test_mdha.py",
    "z_loss": "layers/embeddings/test_token_embedding.py",
}
# Slots that architectures of other files set, or that only name layers, widths and dropout.
OF_ARCHITECTURES = {
    "attention",
    "feed_forward",
    "dense_block",
    "num_dense_blocks",
    "width",
    "projection",
    "projection_gated",
    "synthesizer_num_heads",
    "synthesizer_d_kv",
    "final_dropout_rate",
}
# Log-probabilities have no z_loss and no cap.
ADAPTIVE = {"token_embedding": "@AdaptiveEmbedding", "z_loss": "0.0", "logit_cap": "None"}
CLUSTERS = {"embedding_cutoffs": "[20, 50]", "embedding_div_val": "2"}
# What a value needs in order to have an effect, or to be possible.
NEEDS = {
    "rotary_base": {"positions": "'rotary'"},
    "rotary_fraction": {"positions": "'rotary'"},
    "untie_relative_biases": {"positions": "'transformer_xl'"},
    "clamp_length": {"positions": "'transformer_xl'"},
    "clamp_length_eval": {"positions": "'transformer_xl_sinusoid'"},
    "num_distances": {"positions": "'transformer_xl_learned'"},
    "window": {"attention_kinds": "['local']"},
    "share_qk_rep": {"attention": "@MDHA"},
    "spatial_gating": {"attention": "@MDHA"},
    "num_memory_heads": {"num_heads": "4"},
    "embedding_cutoffs": ADAPTIVE,
    "embedding_div_val": {**ADAPTIVE, **CLUSTERS},
    "d_embed": ADAPTIVE,
    "tied_projections": {**ADAPTIVE, **CLUSTERS},
}
# Linear attention has no logits, and so no biases of positions.
LINEAR = {
    "positions": "'rotary'",
    "attention_logit_cap": "None",
    "attention_extra_logit": "None",
    "num_persistent_vectors": "0",
}
SIZE = {"num_layers": "2", "window": "3", "max_length": "24", "num_distances": "6"}
ALONE = [(slot, value) for slot, values in VALUES.items() for value in values]
# The default run has values with code of their own in decoding.
QUICK = {
    ("positions", "'alibi'"),
    ("positions", "'learned'"),
    ("positions", "'transformer_xl'"),
    ("positions", "'transformer_xl_absolute'"),
    ("attention_kinds", "['linear', 'local']"),
    ("attention_kinds", "['none', 'global']"),
    ("layer_stack", "@PostNormLayerStack"),
    ("num_persistent_vectors", "3"),
    ("num_value_embeddings", "1"),
    ("token_shift", "True"),
    ("tied_embeddings", "False"),
    ("tied_projections", "[False, True, True]"),
}
# Compositions that no seed needs to find: persistent vectors with half of the channels rotated.
FIXED = {
    "rotated": (
        "transformer",
        {
            "num_persistent_vectors": "3",
            "rotary_fraction": "0.5",
            "qk_norm": "'rms_unscaled'",
            "num_value_embeddings": "1",
            "norm_epsilon": "1e-3",
            "embedding_cutoffs": "[20, 50]",
        },
    )
}
COMPOSITIONS = [*range(10), *FIXED]


def settled(slots):
    """Returns the slots with what they need, as gin bindings."""
    slots = dict(slots)
    for slot in list(slots):
        slots = {**NEEDS.get(slot, {}), **slots}
    if "linear" in slots.get("attention_kinds", ""):
        slots.update(LINEAR)
    if slots.get("token_embedding") == "@AdaptiveEmbedding":
        slots.update(ADAPTIVE)
    return tuple(f"{slot} = {value}" for slot, value in {**SIZE, **slots}.items())


def case(slots, architecture="transformer", overlay=None):
    files = gin_models.files(architecture, "squared_relu", overlay)
    return checks.Case(tuple(files), settled(slots))


def drawn(seed):
    """Returns an architecture and values of six slots, drawn by a seed, or one of FIXED."""
    if seed in FIXED:
        return FIXED[seed]
    draw = random.Random(seed)
    architecture = draw.choice(["transformer", "primer_ez", "primer", "llama", "gpt_neo"])
    slots = draw.sample(sorted(set(VALUES) - {"share_qk_rep", "spatial_gating", "num_heads"}), 6)
    return architecture, {slot: draw.choice(VALUES[slot]) for slot in slots}


def check(model, tmp_path):
    checks.check_steps(model, tmp_path, prompts=([0, 2, 5, 1],))
    checks.check_packing(model)
    checks.check_mesh(model)


def name_of(value):
    return " = ".join(value)


def test_every_slot_has_values():
    declared = set(gin_models.architecture_slots("transformer"))
    assert declared <= {*VALUES, *ELSEWHERE, *OF_ARCHITECTURES}
    assert not set(VALUES) & OF_ARCHITECTURES and not set(ELSEWHERE) & {*VALUES, *OF_ARCHITECTURES}


@pytest.mark.parametrize(("slot", "path"), ELSEWHERE.items())
def test_the_other_slots_have_their_tests(slot, path):
    assert slot in (paths.ROOT / "tests" / path).read_text(encoding="utf-8")


@pytest.mark.parametrize(("slot", "value"), slow.all_but(QUICK, ALONE, name_of))
def test_decoding_and_packing(slot, value, tmp_path):
    model = case({slot: value})
    checks.check_steps(model, tmp_path, prompts=([0, 2, 5, 1],))
    checks.check_packing(model)


@pytest.mark.slow
@pytest.mark.parametrize(("slot", "value"), ALONE, ids=map(name_of, ALONE))
def test_causality(slot, value):
    checks.check_causality(case({slot: value}))


# One value of each slot; the random compositions below mix all values on meshes.
@pytest.mark.slow
@pytest.mark.parametrize("slot", VALUES)
def test_meshes(slot):
    checks.check_mesh(case({slot: VALUES[slot][0]}))


@pytest.mark.parametrize("seed", slow.all_but([0], COMPOSITIONS, str))
def test_random_compositions(seed, tmp_path):
    architecture, slots = drawn(seed)
    check(case(slots, architecture), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 103))
def test_random_compositions_with_experts(seed, tmp_path):
    architecture, slots = drawn(seed)
    deterministic = {
        "MixtureOfExperts.switch_policy_train": "'argmax'",
        "MixtureOfExperts.loss_coef": "0.0",
        "capacity_factor_train": "8.0",
    }
    check(case({**slots, **deterministic}, architecture, "switch"), tmp_path)
