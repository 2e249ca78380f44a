"""What each number of parameters includes."""

import pytest

from primer.cost import parameters
from primer.planning import run_graph
from tests import gin_models


@pytest.fixture(autouse=True)
def search_path(gin_search_path):
    """gin has the search path of a run."""


def count(bindings=(), architecture="transformer", vocabulary=97):
    gin_models.parse(gin_models.files(architecture, "relu"), bindings)
    return parameters.count(*run_graph.build_forward(vocabulary))


D_MODEL, PADDED = 32, 128


def test_the_table_of_tokens_is_the_embedding():
    found = count()
    assert found.total - found.without_embedding == PADDED * D_MODEL
    assert found.active == found.without_embedding
    assert found.padding == (PADDED - 97) * D_MODEL


def test_a_vocabulary_of_a_whole_multiple_has_no_padding():
    assert count(vocabulary=256).padding == 0


def test_an_untied_output_and_positions_are_embedding_too():
    positions = ["positions = 'learned'", "max_length = 600"]
    found = count(["tied_embeddings = False", *positions])
    assert found.without_embedding == count(["positions = 'none'"]).without_embedding
    assert found.total - found.without_embedding == (2 * PADDED + 600) * D_MODEL
    assert found.padding == 2 * (PADDED - 97) * D_MODEL


def test_tables_of_positions_in_layers_are_not():
    """The Synthesizer's attention is such a table."""
    long, short = (count([f"max_length = {n}"], "synthesizer") for n in (1024, 512))
    assert long.without_embedding - long.total == short.without_embedding - short.total
    assert long.without_embedding > short.without_embedding


ADAPTIVE = [
    "token_embedding = @AdaptiveEmbedding",
    "embedding_cutoffs = [20, 50]",
    "embedding_div_val = 2",
    "z_loss = 0.0",
]


def test_padding_of_each_cluster():
    """Tables and biases of 20, 30 and 47 words, each of 128 rows, of widths 32, 16 and 8."""
    found = count(ADAPTIVE)
    words = 20 * (32 + 1) + 30 * (16 + 1) + 47 * (8 + 1)
    projections = 32 * (32 + 16 + 8)
    clusters = (32 + 1) * 2
    rows = PADDED * (32 + 16 + 8 + 3)
    layers = count().without_embedding
    assert found.padding == rows - words
    assert found.total - found.padding == layers + words + projections + clusters
    assert found.without_embedding == layers + projections
    untied = count([*ADAPTIVE, "tied_embeddings = False", "tied_projections = [False, True, True]"])
    assert untied.total - found.total == PADDED * (32 + 16 + 8) + 32 * 32
    assert untied.padding - found.padding == rows - words - (3 * PADDED - 97)


def test_gpt2_without_the_padding_has_its_published_number():
    gin_models.parse(["models/defaults.gin", "models/gpt2_124m.gin"])
    found = parameters.count(*run_graph.build_forward(50257))
    assert found.total - found.padding == 124_439_808
    assert found.without_embedding == 124_439_808 - (50257 + 1024) * 768
