"""The models of other systems have exactly as many parameters as published."""

import os
import re

import pytest

from primer.gin_config import config_files, statements
from primer.planning import parameters
from tests import gin_models, slow
from tests.gin import published_counts
from tests.gin.published_counts import PUBLISHED

DENSE_LM = [name for name in PUBLISHED if name.startswith("dense_lm")]
NUMBERS = {"d_model", "num_layers", "num_heads", "num_memory_heads", "d_kv", "d_ff", "d_ff_gated"}
SIZES = config_files.names_of_kind("sizes/published")
NO_PADDING = "Unitransformer.vocab_divisor = 1"
# Fewer layers than these are built within three seconds.
MANY_LAYERS = 16


def size_of(model):
    """Returns the numbers of a model's size, its last file."""
    return statements.macros_set(os.path.join(config_files.gin_directory(), includes_of(model)[-1]))


def includes_of(model):
    path = os.path.join(config_files.gin_directory(), config_files.gin_file("models", model))
    return [statement.filename for statement in statements.parse_file(path)]


def size_name(model):
    """Returns the name of a model's size: those of GShard name the mesh of a run besides."""
    return re.sub(r"(_adam)?_\d+x\d+(_dp)?$", "", model) if model in DENSE_LM else model


def is_quick(model):
    """Of Pythia the smallest: its sizes have one architecture."""
    is_small = size_of(model)["num_layers"] < MANY_LAYERS
    return is_small and model not in ("pythia_31m", "pythia_160m")


def one_of_each_architecture():
    return list({includes_of(model)[0]: model for model in PUBLISHED}.values())


def test_every_published_size_is_of_one_model():
    """Those of Transformer-XL are of its recipes: tests/gin/test_transformer_xl_recipes.py."""
    sizes = {name for name in SIZES if not name.startswith("transformer_xl")}
    assert sizes == set(map(size_name, PUBLISHED))
    assert not set(SIZES) & set(config_files.names_of_kind("sizes"))
    for model in PUBLISHED:
        assert includes_of(model)[-1] == f"sizes/published/{size_name(model)}.gin"


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_formula_gives_the_reported_number_and_that_of_the_name(model):
    """Names of the table of GPT-3 and of Gemma 2 round by up to 2%."""
    found = PUBLISHED[model]
    assert found.reported in (None, found.parameters)
    assert abs(found.parameters / found.rounded - 1) < 0.02


@pytest.mark.parametrize(
    "model", slow.all_but(is_quick, [model for model in PUBLISHED if model not in DENSE_LM])
)
def test_parameter_counts_are_exact(model, load):
    """Those of GShard are in tests/gin/test_gshard_sizes.py."""
    load(config_files.published_model_files(model), [NO_PADDING])
    assert parameters.count_parameters(PUBLISHED[model].vocabulary) == PUBLISHED[model].parameters


@pytest.mark.parametrize("model", PUBLISHED)
def test_the_first_line_of_the_file_has_the_count(model):
    path = os.path.join(config_files.gin_directory(), config_files.gin_file("models", model))
    with open(path, encoding="utf-8") as lines:
        line = next(lines)
    found = PUBLISHED[model]
    assert f": {found.parameters:,} parameters with " in line
    assert f" {found.vocabulary:,} tokens" in line


@pytest.mark.parametrize("model", PUBLISHED)
def test_a_size_has_numbers_that_fit_together(model):
    numbers = size_of(model)
    assert set(numbers) - NUMBERS <= {"max_length", "published_vocabulary_size"}
    assert set(numbers) >= NUMBERS
    # The published one of the two widths, and another one with as many parameters.
    assert abs(numbers["d_ff_gated"] - numbers["d_ff"] * 2 / 3) <= 4
    assert numbers["num_heads"] % max(1, numbers["num_memory_heads"]) == 0
    positions = gin_models.slots(includes_of(model)[0])["positions"]
    # Sinusoids have no table: the length is that of the published rows.
    assert positions == "sinusoid" or ("max_length" in numbers) == (positions == "learned")


def test_the_heads_of_gpt3s_13b_are_narrower_than_its_width_as_in_the_table():
    numbers = size_of("gpt3_13b")
    assert (numbers["d_model"], numbers["num_heads"] * numbers["d_kv"]) == (5140, 5120)


def test_the_24_heads_of_gpt3s_table_would_not_give_1_3_billion_parameters():
    assert size_of("gpt3_1_3b")["num_heads"] == 16
    count = published_counts.gpt2(2048, 24, 2048, channels=24 * 128)
    assert count / 1.3e9 > 1.15


@pytest.mark.parametrize("model", one_of_each_architecture())
def test_a_smoke_run_shrinks_every_family(model, load):
    """The number of key and value heads shrinks with the others."""
    load([*config_files.published_model_files(model), "run/smoke.gin"])
    assert parameters.count_parameters(97) < 200_000


@pytest.mark.parametrize("architecture", ["primer_ez", "llama", "gpt2"])
def test_another_architecture_takes_a_published_size(architecture, load):
    load(
        config_files.composition_files(architecture, "squared_relu", "qwen3_0_6b"),
        ["num_layers = 2"],
    )
    shapes = parameters.parameter_shapes(97)
    keys = [shape for name, shape in shapes.items() if name.endswith(("SelfAttention/k", "MDHA/k"))]
    assert keys == [(1024, 1024), (1024, 1024)]  # 8 heads of 128.


def test_the_two_models_of_gpt_neo_under_one_name_differ(load):
    """Its gpt3_2-7B_256.json and its released 2.7B are both called GPT3_2-7B.

    A checkpoint of one has the shapes of the other: nothing but the files says which it is.
    """
    heads, kinds, shapes = [], [], []
    for model in ("gpt_neo_2_7b", "gpt_neo_gpt3_2_7b_256"):
        load(config_files.published_model_files(model), ["num_layers = 2"])
        shapes.append(parameters.parameter_shapes(97))
        heads.append((size_of(model)["num_heads"], size_of(model)["d_kv"]))
        kinds.append(gin_models.slots(includes_of(model)[0])["attention_kinds"])
    assert heads == [(20, 128), (32, 80)]
    assert kinds == [["global", "local"], ["global"]]
    assert shapes[0] == shapes[1]
