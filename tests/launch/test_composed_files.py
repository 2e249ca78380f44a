"""Gin files that bring a model and a data set with them."""

import pytest

from primer.errors import UsageError
from primer.launch import composed_files, train

RECIPE = "recipes/transformer_xl_enwik8_base.gin"


@pytest.mark.parametrize(
    "name, model, task",
    [
        (RECIPE, True, True),
        ("recipes/transformer_xl.gin", False, False),
        ("recipes/nanogpt_shakespeare.gin", True, False),
        ("recipes/t2t_big.gin", False, False),
        ("models/small_primer.gin", True, False),
        ("datasets/sotu.gin", False, True),
        ("nowhere.gin", False, False),
    ],
)
def test_what_a_file_sets(name, model, task):
    assert composed_files.set_a_model([name]) == model
    assert composed_files.set_a_task([name]) == task


def test_a_recipe_with_both_needs_no_model_and_no_task():
    run = train.TrainingRun(train.ModelChoice(), "/m", gin_file=[RECIPE])
    assert train.engine_arguments(run) == [
        "--module_import=t5_imports",
        "--model_dir=/m",
        "--gin_file=models/defaults.gin",
        f"--gin_file={RECIPE}",
    ]


def test_a_recipe_without_a_model_needs_one():
    run = train.TrainingRun(train.ModelChoice(), "/m", "sotu", gin_file=["recipes/t2t_big.gin"])
    with pytest.raises(UsageError, match="no model: give --model"):
        train.engine_arguments(run)
