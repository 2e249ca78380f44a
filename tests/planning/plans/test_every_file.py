"""Every file of gin/models and gin/recipes has a plan."""

import pytest

import t5_imports  # noqa: F401  Registers what gin files name.
from primer.gin_config import config_files
from primer.planning import vocabulary
from primer.planning.layouts import run_check
from primer.planning.plans import planner as plans
from tests.slow import all_but

DEFAULTS = config_files.MODEL_DEFAULTS
# One of each kind of stack; the others are slow.
QUICK = {"small_primer", "dense_lm_8b_2x2"}
MODELS = [name for name in config_files.names_of_kind("models") if name != "defaults"]
RECIPES = config_files.names_of_kind("recipes")
# Recipes that set an optimizer and a schedule only, or leave the size to the user.
WITHOUT_MODEL = ("t2t_", "dense_lm")
TINY = ["activations/relu.gin", "sizes/tiny.gin"]


def plan(files):
    with plans.settings_of(files, []):
        size = vocabulary.planned_vocabulary()
        mesh = run_check.mesh_in_force() or {"batch": 1}
        layout = run_check.layout_in_force()
        return plans.Planner(plans.Machine("v4", 0.7, size)).plan("as set", mesh, layout)


def check(found):
    program = found.program
    assert program.parameters > 0 and program.flops > 0
    assert program.memory.peak > sum(program.memory.variables.values()) > 0
    assert 0 < found.time.model_utilization < 1
    assert sum(program.memory.at_peak.values()) == program.memory.peak


@pytest.mark.parametrize("model", all_but(QUICK, MODELS))
def test_a_model(model):
    check(plan(config_files.published_model_files(model)))


@pytest.mark.parametrize("recipe", all_but({"t2t_base"}, RECIPES))
def test_a_recipe(recipe):
    file = config_files.gin_file("recipes", recipe)
    if recipe in MODELS:
        check(plan([*config_files.published_model_files(recipe), file]))
    elif recipe.startswith(WITHOUT_MODEL):
        check(plan([DEFAULTS, "architectures/transformer.gin", *TINY, file]))
    elif recipe == "transformer_xl":
        check(plan([DEFAULTS, file, *TINY]))
    else:
        check(plan([DEFAULTS, file]))
