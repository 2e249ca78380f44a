"""GShard's published models and runs are Lingvo's templates: variables, settings, rows, optimizers.

`gshard_sizes.json` is what Lingvo builds at true size without allocating. PRIMER_PARITY_DIR names
another folder with a file of that name.
"""

import collections
import functools
import json
import math
import re

import gin
import pytest

from primer.gin_config import config_files
from primer.planning import parameters, schedule_curve
from tests import gin_models, slow
from tests.gin.published_counts import PUBLISHED
from tests.gin.test_published_models import includes_of
from tests.layers.gshard import names
from tests.paths import GOLDEN, PARITY

PATH = (GOLDEN / "gshard" if PARITY == GOLDEN else PARITY) / "gshard_sizes.json"
TEMPLATES = json.loads(PATH.read_text(encoding="utf-8"))
MODELS = [name for name in PUBLISHED if name.startswith("dense_lm")]


def template_of(model):
    """Returns Lingvo's template of a model: `dense_lm_128b_8x8` is DenseLm128B8x8."""
    by_name = {re.sub(r"\W|_", "", name).lower(): name for name in TEMPLATES}
    return TEMPLATES[by_name[model.replace("_", "")]]


@functools.cache
def kinds(includes, vocabulary_size):
    """Returns {(name without block and layer, shape): number of variables} of a composition."""
    gin_models.parse([config_files.MODEL_DEFAULTS, *includes])
    shapes = parameters.parameter_shapes(vocabulary_size)
    return collections.Counter((names.without_layer(n), shape) for n, shape in shapes.items())


def test_every_template_has_its_model():
    assert len(MODELS) == len(TEMPLATES) == 11
    assert len({id(template_of(model)) for model in MODELS}) == len(TEMPLATES)


@pytest.mark.parametrize("model", slow.all_but(["dense_lm_8b_2x2"], MODELS))
def test_variables_are_those_of_the_template(model):
    """Models that differ in the mesh of their run have the same files, and one graph here."""
    template = template_of(model)
    found = kinds(tuple(includes_of(model)), template["vocab"])
    expected = collections.Counter()
    for name, kind in template["by_kind"].items():
        expected[names.kind_of(name), tuple(kind["shape"])] += kind["count"]
    assert found == expected
    assert sum(found.values()) == template["variables"]
    sizes = (number * math.prod(shape) for (_, shape), number in found.items())
    assert sum(sizes) == template["parameters"] == PUBLISHED[model].parameters


@pytest.mark.parametrize("model", MODELS)
def test_settings_are_those_of_the_template(model):
    slots = gin_models.slots(config_files.gin_file("models", model))
    template = template_of(model)
    assert (slots["attention_logit_cap"] or 0) == template["atten_logit_cap"]
    assert (slots["positions"] == "learned") == template["learned_positions"]
    functions = slots["activation"]
    assert functions == (["gelu", "linear"] if template["gated_gelu"] else [template["activation"]])
    assert slots["attention_extra_logit"] == 0.0


def test_every_model_has_a_recipe():
    recipes = {n for n in config_files.names_of_kind("recipes") if n.startswith("dense_lm_")}
    assert recipes - {"dense_lm_adam"} == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_recipes_are_those_of_the_template(model, load):
    """The batch of a template is that of a replica: one has two, and one makes updates of four."""
    template = template_of(model)
    load([config_files.MODEL_DEFAULTS, "sizes/tiny.gin", config_files.gin_file("recipes", model)])
    length = {"inputs": 1, "targets": template["sequence_length"]}
    assert gin.query_parameter("utils.run.sequence_length") == length
    rows = template["batch"] * (2 if model.endswith("_dp") else 1)
    assert gin.query_parameter("utils.run.batch_size") == ("sequences_per_batch", rows)
    accumulate = gin.query_parameter("accumulate_steps/macro.value")
    assert accumulate == (4 if model.endswith("41b_adam_8x8") else 1)
    optimizer = gin.query_parameter("optimizer/macro.value").scoped_selector
    is_adam = template["optimizer"] == "ShardedAdam"
    assert optimizer.startswith("adam_lingvo/" if is_adam else "adafactor_lingvo/")
    curve = schedule_curve.curve(schedule_curve.schedule_in_force(), 40_000)
    assert curve.peak[1] == pytest.approx(0.01) and curve.rates[0] == pytest.approx(0.01)
    assert curve.rates[-1] == pytest.approx(0.005, rel=1e-3)  # 1 / sqrt(40,000).
