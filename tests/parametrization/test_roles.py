"""Every weight of every architecture has the role that its name says."""

import re

import pytest

from primer.parametrization import roles
from primer.planning import run_graph
from tests import gin_models

# The role of a weight whose name ends like this; each weight has exactly one.
ENDINGS = {
    "matrix": (
        r"/(SelfAttention|MDHA|Synthesizer|double_heads_attention)/(q|k|v|kv|o|r)",
        r"/q_solo_project/kernel",
        r"/(wi|wi_\d|wo)/kernel",
        r"/pointwise_dense/kernel",
        r"/embedding_projection(_\d)?",
        r"/logits/projection_\d",
    ),
    "table": (
        r"/embedding(_\d)?",
        r"/value_embedding_\d",
        r"/positional_embedding",
        r"/logits/kernel(_\d)?",
        r"/logits/cluster_kernel",
        r"/relative_attention_bias",
        r"gating(_\d)?/kernel",
        r"/persistent_(keys|values)",
        r"/r_(emb|bias)",
        r"/R[12]?",
        r"/spatial_gate",
        r"/pi/(kernel|bias)",  # Of the Synthesizer: from channels to positions.
    ),
    "vector": (
        r"/(wi|wi_\d|wo|pointwise_dense)/bias",
        r"/[qkvo]_bias",
        r"/r_[wr]_bias",
        r"/logits/(cluster_bias|bias(_\d)?)",
        r"gating(_\d)?/bias",
        r"norm\w*/scale",
        r"/\w+_norm_(scale|bias)",
        r"/conv_\d+",
        r"/depthwise_dense_\d+/(kernel|bias)",
        r"/token_shift/(gate|lambda)",
        r"/shares",
        r"/alpha",
    ),
}
ADAPTIVE = [
    "token_embedding = @AdaptiveEmbedding",
    "embedding_cutoffs = [20, 50]",
    "embedding_div_val = 2",
    "z_loss = 0.0",
]
# Compositions with options, which no architecture sets.
OPTIONS = {
    "heads apart": ("transformer", None, ["SelfAttention.combine_dims = False"]),
    "one head": ("transformer", None, ["num_heads = 1"]),
    "grouped queries": ("transformer", None, ["num_memory_heads = 2"]),
    "grouped queries, heads apart": (
        "primer",
        None,
        ["num_memory_heads = 2", "SelfAttention.combine_dims = False"],
    ),
    "multi-query": ("primer", None, ["num_memory_heads = 1"]),
    "adaptive softmax": ("transformer", None, ADAPTIVE),
    "untied adaptive softmax": (
        "transformer",
        None,
        [*ADAPTIVE, "tied_embeddings = False", "tied_projections = False"],
    ),
    "shared keys and values": ("transformer", None, ["SelfAttention.shared_kv = True"]),
    "biases": ("transformer", None, ['attention_biases = "all"', "norm = @sublayer_scale_norm"]),
    "persistent vectors": ("transformer", None, ["num_persistent_vectors = 3"]),
    "learned distances": (
        "transformer",
        None,
        ['positions = "transformer_xl_learned"', "num_distances = 8"],
    ),
    "value embeddings": (
        "transformer",
        None,
        ["num_layers = 2", "num_value_embeddings = 1", "token_shift = True"],
    ),
    "persistent vectors of one head": (
        "transformer",
        None,
        ["num_persistent_vectors = 3", "num_heads = 1"],
    ),
    "experts with biases": ("transformer", "switch", ["MixtureOfExperts.use_bias = True"]),
    "two levels of experts": (
        "transformer",
        "switch",
        ["experts = @MixtureOfExperts2D", "MixtureOfExperts2D.expert_x = 2"],
    ),
    "dense synthesizer": ("synthesizer", None, ['SynthesizerAttention.synthesize_mode = "dense"']),
    "factorized synthesizer": (
        "synthesizer",
        None,
        ['SynthesizerAttention.synthesize_mode = "factorized"'],
    ),
    "synthesizer with alpha": (
        "synthesizer",
        None,
        ['SynthesizerAttention.synthesize_mode = "random_plus_alpha"'],
    ),
}


COMPOSITIONS = gin_models.compositions()


def check_roles(architecture, overlay, activation="swiglu", bindings=()):
    gin_models.parse(
        gin_models.files(architecture, activation, overlay),
        [*gin_models.fewest_block_bindings(architecture, overlay), *bindings],
    )
    _, graph = run_graph.build_forward(97)
    found = {variable.name: roles.role(variable.shape) for variable in graph.trainable_variables}
    expected = {name: expected_role(name) for name in found}
    assert found == expected
    assert set(found.values()) == {"matrix", "table", "vector"}
    return found


def expected_role(name):
    [found] = [
        role
        for role, endings in ENDINGS.items()
        if any(re.search(f"{ending}$", name) for ending in endings)
    ]
    return found


@pytest.mark.parametrize(
    "composition",
    gin_models.as_params(COMPOSITIONS, lambda c: c[1] is None or c == COMPOSITIONS[-1]),
)
def test_every_weight_of_an_architecture_has_its_role(composition):
    check_roles(*composition)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_weight_of_an_option_has_its_role(name):
    architecture, overlay, bindings = OPTIONS[name]
    check_roles(architecture, overlay, "squared_relu", bindings)
