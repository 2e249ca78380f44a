"""The cost of models against published figures and the equations of their layers."""

import types

import pytest

from primer.cost import model_cost
from primer.gin_config import config_files
from primer.planning import run_graph
from tests import gin_models
from tests.cost.published import GPT2, MARIN


@pytest.fixture(autouse=True)
def search_path(gin_search_path):
    """gin has the search path of a run."""


def cost(files, bindings, vocabulary, length, mode="train"):
    lengths = f'utils.run.sequence_length = {{"inputs": 1, "targets": {length}}}'
    gin_models.parse(files, [*bindings, lengths])
    return run_graph.cost_of(*run_graph.build_forward(vocabulary, mode))


def cost_of(architecture, bindings=(), vocabulary=97, length=32, overlay=None, mode="train"):
    files = gin_models.files(architecture, "relu", overlay)
    return cost(files, bindings, vocabulary, length, mode)


GPT2_FILES = (
    ["models/defaults.gin", "models/gpt2_124m.gin"],
    config_files.composition_files("transformer", "relu", "tiny"),
)


@pytest.mark.parametrize("files", GPT2_FILES, ids=["gpt2_124m", "transformer"])
def test_gpt2_has_nanogpts_flops(files):
    found = cost(files, GPT2.sizes, GPT2.vocabulary, GPT2.length)
    assert found.forward * GPT2.length == GPT2.forward
    assert found.training * GPT2.length == GPT2.training


def test_marins_speedrun_has_levanters_flops():
    """Levanter counts the mask besides: 3 for each key, head and layer."""
    files = config_files.composition_files("transformer", "swiglu", "tiny")
    found = cost(files, MARIN.sizes, MARIN.vocabulary, MARIN.length)
    mask = 3 * MARIN.length * MARIN.heads * MARIN.layers
    assert 3 * (found.forward + mask) * MARIN.tokens == MARIN.flops


# Of the size tiny.
D_MODEL, D_FF, LENGTH = 32, 64, 32
DENSE = 2 * 2 * D_MODEL * D_FF
ATTENTION = 4 * 2 * D_MODEL**2 + 2 * 2 * LENGTH * D_MODEL
CONVOLUTIONS = 2 * 2 * 3 * D_MODEL
# Of one distance more than keys: their vectors' products with W_r, and the queries' with these.
DISTANCES = 2 * (LENGTH + 1) * (D_MODEL**2 / LENGTH + D_MODEL)


@pytest.mark.parametrize(
    "architecture, attention",
    [
        ("transformer", ATTENTION),
        ("primer", ATTENTION + CONVOLUTIONS),
        ("transformer_xl", ATTENTION + DISTANCES),
    ],
)
def test_the_flops_of_each_layer_are_those_of_its_equations(architecture, attention):
    assert cost_of(architecture).flops == {
        "block_000/layer_000": attention,
        "block_000/layer_001": DENSE,
        "block_001/layer_000": attention,
        "block_001/layer_001": DENSE,
        model_cost.LOGITS: 2 * D_MODEL * 97,
    }


@pytest.mark.parametrize("mode", run_graph.MODES)
def test_an_adaptive_softmax(mode):
    """Training computes the words of the first cluster, of width 32, at every position.

    An evaluation computes the others, of widths 16 and 8, too.
    """
    bindings = [
        "token_embedding = @AdaptiveEmbedding",
        "embedding_cutoffs = [20, 50]",
        "embedding_div_val = 2",
        "z_loss = 0.0",
    ]
    found = cost_of("transformer", bindings, mode=mode).flops
    words = 20 * 32 + (mode == "eval") * (30 * 16 + 47 * 8)
    assert found[model_cost.LOGITS] == pytest.approx(2 * (words + 2 * 32))
    # Of the embedding and of the output.
    assert found[model_cost.OTHER] == 2 * 2 * D_MODEL * (32 + 16 + 8)


def test_windows_count_the_keys_of_their_blocks():
    """256 positions in blocks of 64, each with the 64 before it, for a window of 64 keys."""
    found = cost_of("windowed_transformer", ["window = 64"], length=256)
    keys = 2 * 64
    assert found.flops["block_000/layer_000"] == 4 * 2 * D_MODEL**2 + 2 * 2 * keys * D_MODEL


CHUNKS, CHUNK, D_KV = 4, 64, 8
# In a chunk as attention; the sum of K v of each chunk and its product with the queries; the sums
# of K v and of K over earlier chunks.
LINEAR = 2 * 2 * CHUNK * D_MODEL + 2 * 2 * D_KV * D_MODEL
LINEAR += 2 * CHUNKS**2 * D_MODEL * (D_KV + 1) / (CHUNKS * CHUNK)


@pytest.mark.parametrize(
    "bindings, length, attention, members, variables, tables",
    [
        (["num_value_embeddings = 1"], LENGTH, ATTENTION, 1, 2 * 2, 1),  # Two shares in each layer.
        (["attention_kinds = ['linear']"], 256, 4 * 2 * D_MODEL**2 + LINEAR, 1, 0, 0),
        (["Unitransformer.ensemble = 2"], LENGTH, ATTENTION, 2, 0, 0),
    ],
    ids=["value embeddings", "linear attention", "ensemble"],
)
def test_other_parts_of_a_model(bindings, length, attention, members, variables, tables):
    found = cost_of("transformer", ["positions = 'rotary'", *bindings], length=length)
    plain = cost_of("transformer", ["positions = 'rotary'"]).parameters
    expected = {"layer_000": attention, "layer_001": DENSE}
    flops = {f"block_00{n}/{layer}": f for n in range(2) for layer, f in expected.items()}
    flops[model_cost.LOGITS] = 2 * D_MODEL * 97
    assert found.flops == {part: members * number for part, number in flops.items()}
    assert found.parameters.active == members * plain.active + variables
    embedding = found.parameters.total - found.parameters.without_embedding
    assert embedding == (members + tables) * 128 * D_MODEL


@pytest.mark.parametrize("stack", ["PreNormLayerStack", "ParallelLayerStack"])
@pytest.mark.parametrize("mode", run_graph.MODES)
@pytest.mark.parametrize(
    "bindings, chosen",
    [
        ((), 1),
        (('expert_gating = "top_2"',), 2),
        (('expert_gating = "top_2"', "capacity_factor_eval = None"), 2),
        (('expert_gating = "expert_choice"', "capacity_factor_train = 1.5"), 1.5),
        (('expert_gating = "naive"', "expert_top_k = 3", "capacity_factor_train = None"), 3),
    ],
)
def test_experts_count_the_experts_of_a_token(stack, mode, bindings, chosen):
    bindings = [*bindings, f"layer_stack = @{stack}"]
    found = cost_of("transformer", bindings, overlay="switch", mode=mode)
    router = 2 * D_MODEL * 4
    assert found.flops["block_000/layer_007"] == pytest.approx(chosen * DENSE + router)
    idle = (4 - chosen) * DENSE / 2
    assert found.parameters.active == found.parameters.without_embedding - idle


TWO_LEVELS = """experts = @MixtureOfExperts2D
MixtureOfExperts2D.expert_x = 4
MixtureOfExperts2D.expert_y = 3
MixtureOfExperts2D.hidden_size = 64""".splitlines()


@pytest.mark.parametrize("mode", run_graph.MODES)
def test_experts_on_two_levels_count_two_groups_and_three_experts(mode):
    found = cost_of("transformer", TWO_LEVELS, overlay="switch", mode=mode)
    routers = 2 * D_MODEL * 4 + 2 * 2 * D_MODEL * 3
    assert found.flops["block_000/layer_007"] == pytest.approx(3 * DENSE + routers)
    idle = (12 - 3) * DENSE / 2 + 2 * D_MODEL * 3
    assert found.parameters.active == found.parameters.without_embedding - idle


def test_the_conventions():
    found = cost_of("transformer")
    assert found.training == 3 * sum(found.flops.values()) == 3 * found.forward
    assert found.six_n == 6 * found.parameters.without_embedding
    assert found.as_result() == {
        "parameters": found.parameters.total,
        "parameters_without_embedding": found.parameters.without_embedding,
        "active_parameters_without_embedding": found.parameters.active,
        "flops_per_token": 3 * (2 * (ATTENTION + DENSE) + 2 * D_MODEL * 97),
        "flops_convention": "training, exact with attention, length 32",
    }


@pytest.mark.parametrize(
    "model, is_known",
    [
        ({"layer_stack": types.SimpleNamespace(_layers=[types.SimpleNamespace(name="a")])}, True),
        ({"layer_stack": types.SimpleNamespace(_layers=[types.SimpleNamespace()])}, False),
        ({"layer_stack": types.SimpleNamespace()}, False),
        ({}, False),
    ],
)
def test_the_cost_of_a_stack_of_layers_with_names_is_known(model, is_known):
    model = types.SimpleNamespace(output_vocab_size_unpadded=97, **model)
    assert model_cost.is_known(model) == is_known


@pytest.mark.parametrize("architecture", gin_models.architecture_params())
def test_every_architecture_costs_the_same_in_training_and_in_evaluation(architecture):
    training, evaluation = (cost_of(architecture, mode=mode) for mode in run_graph.MODES)
    assert training == evaluation
    assert model_cost.OTHER not in training.flops
    layers = [name for name in training.flops if name.startswith("block_")]
    assert len(layers) > 1 and all(training.flops.values())
