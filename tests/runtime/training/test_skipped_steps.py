"""Training with all that `training_optimizer` offers: outliers, resuming, the moving average."""

import shutil

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer import optimizers  # noqa: F401  (registers them with gin)
from primer.checkpoints import averaging
from primer.runtime.training import skipped_steps
from tests.command_lines import run
from tests.runtime import tiny

STEPS = 8
ALL = (
    "utils.run.optimizer = @AdamWOptimizer",
    "utils.run.learning_rate_schedule = 0.01",
    f"utils.run.train_steps = {STEPS}",
    "utils.run.save_checkpoints_steps = 4",
    "training_optimizer.clip_norm = 0.5",
    "training_optimizer.learning_rate_groups = [('kernel', 0.5)]",
    "training_optimizer.accumulate_steps = 2",
    "training_optimizer.average_decay = 0.9",
    "training_optimizer.skip_outliers = 6.0",
    "training_optimizer.outlier_window = 8",
    "summaries.every = 1",
)
MESH_2X2 = (
    'utils.run.mesh_shape = "batch:2,model:2"',
    'utils.run.mesh_devices = ["cpu:0", "cpu:0", "cpu:0", "cpu:0"]',
    'utils.run.layout_rules = "batch:batch,d_ff:model,heads:model,vocab:model"',
    "precision.activation_dtype = 'bfloat16'",
)
MICROBATCHES = ("utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 32",)
RUNS = [
    pytest.param((), id="one device"),
    pytest.param(MESH_2X2, id="2x2, bfloat16"),
    pytest.param(MICROBATCHES, id="microbatches"),
]


@pytest.fixture
def losses_are_nan(monkeypatch):
    """Returns a function that makes the losses of steps, counted from 1, NaN."""

    def spoil(steps):
        stock = transformer.Unitransformer._compute_loss

        def compute_loss(model, context, logits, *args):
            loss = stock(model, context, logits, *args)
            if context.mode != "train":
                return loss
            step = tf.train.get_global_step() + 1
            is_one = tf.reduce_any(tf.equal(step, tf.constant(steps, tf.int64)))
            factor = tf.where_v2(is_one, np.float32(np.nan), np.float32(1))
            return loss * mtf.import_fully_replicated(loss.mesh, factor, mtf.Shape([]))

        monkeypatch.setattr(transformer.Unitransformer, "_compute_loss", compute_loss)

    return spoil


@pytest.mark.parametrize("settings", RUNS)
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(
    tmp_path, losses_are_nan, settings, capfd
):
    """With a step skipped before the interruption and one after it."""
    losses_are_nan([3, 7])
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    tiny.run(whole, *ALL, *settings)
    assert "2 steps were skipped as outliers (skip_outliers)" in capfd.readouterr().err
    expected = tiny.variables(whole, STEPS)
    for name, value in expected.items():
        assert np.isfinite(value).all(), name
    counts = {name: expected[f"outliers/{name}"] for name in ("steps", "skipped")}
    assert counts == {"steps": 8, "skipped": 2}
    assert expected["adamw_updates"] == expected["average_updates"] == 3
    recorded = tiny.scalars(whole)
    assert np.isnan(recorded["loss"][3]) and np.isfinite(recorded["loss"][4])
    window = [recorded["loss"][step] for step in (8, 6, 5, 4, 2, 1)]
    np.testing.assert_allclose(expected["outliers/losses"][:6], window, rtol=1e-6)
    shutil.copytree(whole, resumed)
    for path in resumed.glob(f"model.ckpt-{STEPS}*"):
        path.unlink()
    tiny.run(resumed, *ALL, *settings)
    tiny.assert_equal_variables(expected, tiny.variables(resumed, STEPS))


def test_without_skipping_such_a_loss_ends_the_run(tmp_path, losses_are_nan, capfd):
    losses_are_nan([3])
    with pytest.raises(SystemExit) as ended:
        tiny.run(tmp_path, *ALL, "training_optimizer.skip_outliers = None")
    assert ended.value.code == 1
    assert "the loss is nan at step 3" in capfd.readouterr().err


def test_many_skipped_steps_in_a_row_end_the_run(tmp_path, losses_are_nan, monkeypatch, capfd):
    monkeypatch.setattr(skipped_steps, "MOST_IN_A_ROW", 4)
    losses_are_nan([2, 3, 4, 6, 7, 8, 9])
    with pytest.raises(SystemExit) as ended:
        tiny.run(tmp_path, *ALL, "utils.run.train_steps = 20")
    assert ended.value.code == 1
    message = capfd.readouterr().err
    for part in (
        "the last 4 steps were skipped as outliers (skip_outliers), step 9 with a loss of nan",
        "the last good checkpoint is",
        "model.ckpt-8",
    ):
        assert part in message


def test_the_moving_average_is_written(tmp_path, capfd):
    """Each weight is weight + lag, without the optimizer's state; evaluation reads it."""
    model_dir, output = tmp_path / "run", tmp_path / "average"
    tiny.run(model_dir, *ALL)
    words = ["--moving", "--checkpoints", "4,8"]
    assert run("average", "--model_dir", model_dir, "--output", output, *words) == 0
    assert "model.ckpt-4: the moving average of step 4" in capfd.readouterr().err
    for step in (4, 8):
        trained, average = tiny.variables(model_dir, step), tiny.variables(output, step)
        lags = {name for name in trained if name.endswith(averaging.LAG)}
        weights = {name.removesuffix(averaging.LAG) for name in lags}
        assert set(average) == weights | {"global_step"} and weights
        for name in weights:
            total = trained[name].astype(np.float64) + trained[name + averaging.LAG]
            np.testing.assert_array_equal(average[name], total.astype(np.float32), err_msg=name)
            assert not np.array_equal(average[name], trained[name])
    tiny.run(
        output,
        *ALL,
        "utils.run.mode = 'perplexity_eval'",
        "utils.run.eval_checkpoint_step = 8",
        "utils.run.dataset_split = 'validation'",
        "utils.run.perplexity_eval_steps = 1",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--moving"], "model.ckpt-6 has no moving average of its weights: training keeps one"),
        (["--moving", "--window", 2], "--window is for means of checkpoints"),
        (["--moving", "--last", 0], "--last = 0"),
        (["--moving", "--checkpoints", "5"], "no checkpoint of step 5"),
        ([], "one of --last, --checkpoints and --moving is required"),
    ],
)
def test_a_wrong_use_of_average_is_one_line(trained, tmp_path, words, message, capfd):
    output = tmp_path / "average"
    assert run("average", "--model_dir", trained, "--output", output, *words) == 2
    assert message in capfd.readouterr().err
    assert not list(tmp_path.iterdir())
