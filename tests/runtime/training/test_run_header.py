"""The paragraph at the start of training."""

import re

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import utils

from primer.runtime.training import run_header
from tests import gin_models, recorded_runs
from tests.runtime import tiny


@pytest.fixture
def estimator(tmp_path):
    tiny.configure("run_seed.seed = 7")
    return utils.get_estimator(**tiny.estimator_settings(tmp_path))


def header(estimator, capsys, first_step=0):
    with tf.Graph().as_default():
        tf.get_variable("a", [3, 4])
        tf.get_variable("b", [5])
        tf.get_variable("slot", [100], trainable=False)
        run_header.print_header(estimator, [4, 32], first_step, 60)
    return capsys.readouterr().err


def test_the_header_describes_the_run(estimator, capsys):
    text = header(estimator, capsys)
    assert text.startswith("2 sublayers (SelfAttention, DenseReluDense) of width 16, 17 parameters")
    for part in (
        "on the CPU; activations float32 (as set), weights float32; "
        "optimizer AdafactorOptimizer, learning rate 0.01. ",
        "128 tokens per step (4 rows of 32), 60 steps, from the start, seed 7.",
        f"Data: {tiny.TASK}.",
        f"train.log: {estimator.model_dir}",
    ):
        assert part in text, part


def test_the_header_names_the_step_that_training_resumes_from(estimator, capsys):
    assert "60 steps, resuming at step 1,200, seed 7" in header(estimator, capsys, 1200)


def test_the_header_names_initial_weights_of_another_run(tmp_path, capsys):
    tiny.configure()
    settings = tiny.estimator_settings(tmp_path) | {"init_checkpoint": "gs://a/model.ckpt-5"}
    estimator = utils.get_estimator(**settings)
    assert "60 steps, from the weights of gs://a/model.ckpt-5, seed 0" in header(estimator, capsys)


@pytest.mark.parametrize(
    "bindings, expected",
    [
        ((), "AdamWOptimizer (decay 0.1, clipped at 1), learning rate up to 0.0006 by cosine_s"),
        (
            ("clip_norm = None", "learning_rate = 0.01"),
            "AdamWOptimizer (decay 0.1), learning rate up to 0.01 by cosine_schedule. ",
        ),
        (
            ("optimizer = @own/AdamWOptimizer", "own/AdamWOptimizer.weight_decay = 0.0"),
            "AdamWOptimizer (clipped at 1), learning rate up to 0.0006 by cosine_schedule. ",
        ),
        (
            ("own/cosine_schedule.learning_rate = 0.1", "weight_decay = 0.25"),
            "AdamWOptimizer (decay 0.25, clipped at 1), learning rate by cosine_schedule. ",
        ),
        (
            ("schedule = @learning_rate_schedule_noam", "weight_decay = 0.0", "clip_norm = None"),
            "AdamWOptimizer, learning rate by learning_rate_schedule_noam. ",
        ),
        (
            ("schedule = [1e-3, @learning_rate_schedules.linear_decay]", "clip_norm = 2.5"),
            "AdamWOptimizer (decay 0.1, clipped at 2.5), learning rate by product_learning_rate. ",
        ),
    ],
)
def test_the_header_names_the_optimizer_and_the_rate(tmp_path, capsys, bindings, expected):
    made = recorded_runs.estimator_of(
        [*gin_models.files("transformer"), "optimizers/adamw.gin"], bindings, tmp_path
    )
    assert f"; optimizer {expected}" in header(made, capsys)


def test_the_parameters_are_those_of_the_checkpoint(trained):
    """The header of a real run counts the weights, not the optimizer's slots."""
    values = tiny.variables(trained, 6)
    weights = [v for name, v in values.items() if "slot" not in name and name != "global_step"]
    tiny.configure()
    estimator = utils.get_estimator(**tiny.estimator_settings(trained))
    with tf.Graph().as_default():
        features = {"targets": tf.placeholder(tf.int32, [4, 32])}
        estimator.call_model(features, "train")
        counted = sum(v.shape.num_elements() for v in tf.trainable_variables())
    assert counted == sum(np.size(value) for value in weights)


def test_a_mesh_is_described_with_its_layout():
    settings = {
        "mesh_shape": mtf.convert_to_shape("batch:2,model:3"),
        "layout_rules": mtf.convert_to_layout_rules("batch:batch"),
    }
    text = run_header.describe_mesh(settings)
    assert re.match(r"the CPU as a mesh batch:2,model:3 \(layout .*batch.*\)", text)
