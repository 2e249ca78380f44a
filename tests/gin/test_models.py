"""The models of google-research Primer have exactly as many parameters as the originals."""

import pytest

from primer.gin_config import config_files
from primer.planning import parameters
from tests import slow
from tests.gin.published_counts import PUBLISHED, T5_VOCABULARY

# Counts from the graphs of the original gin files, with T5's vocabulary.
ORIGINAL = {
    "small_primer": 35371264,
    "small_primer_ez": 35380480,
    "small_transformer_vanilla": 35352832,
    "small_transformer_gelu": 35352832,
    "small_transformer_plusplus": 35337968,
    "small_evolved_transformer": 38062848,
    "medium_primer": 109749120,
    "medium_primer_ez": 109776768,
    "medium_transformer_vanilla": 109693824,
    "medium_transformer_gelu": 109693824,
    "medium_transformer_swish": 109693824,
    "medium_transformer_swiglu": 109706112,
    "medium_transformer_reglu": 109706112,
    "medium_transformer_squared_relu": 109693824,
    "medium_transformer_plusplus": 109686912,
    "medium_evolved_transformer": 109620480,
    "large_primer": 536685056,
    "large_transformer_vanilla": 536537600,
    "large_transformer_plusplus": 536602144,
    "switch_transformer": 548585088,
    "switch_primer": 548668032,
    "synthesizer": 144296704,
    "synthesizer_squared_relu": 144296704,
}


def test_every_published_model_has_a_file():
    assert set(ORIGINAL) | set(PUBLISHED) == set(config_files.names_of_kind("models"))


@pytest.mark.parametrize(
    "model",
    slow.all_but(lambda name: not name.startswith("large"), ORIGINAL),
)
def test_parameter_counts_equal_the_originals(model, load):
    load(config_files.published_model_files(model))
    assert parameters.count_parameters(T5_VOCABULARY) == ORIGINAL[model]


def test_the_released_wiring_has_the_same_variables_as_the_papers(load):
    found = []
    for architecture in ("primer", "primer_as_released"):
        load(config_files.composition_files(architecture, "squared_relu", "tiny"))
        found.append(parameters.parameter_shapes(97))
    assert found[0] == found[1]


def test_a_small_vocabulary_is_padded_to_128(load):
    load(config_files.composition_files("transformer", "relu", "tiny"))
    assert parameters.parameter_shapes(97)["transformer/embedding"] == (128, 32)
    assert parameters.count_parameters(129) - parameters.count_parameters(97) == 128 * 32
