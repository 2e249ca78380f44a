"""Training through the local estimator: files, events, resuming, seeds, ends."""

import json
import os
import signal
import subprocess
import sys

import gin
import numpy as np
import pytest
import tensorflow as tf

from primer.runtime.training import checkpoint_writer, loop
from tests import slow
from tests.paths import ROOT
from tests.runtime import tiny


@gin.configurable
def spoiled_after_two(step, total_train_steps=None):
    """A learning rate that is infinite in the third step."""
    return tf.where(tf.cast(step, tf.float32) < 2, 0.01, float("inf"))


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    model_dir = tmp_path_factory.mktemp("trained")
    tiny.run(model_dir)
    return model_dir


def test_writes_the_files_of_the_estimator(trained):
    names = set(os.listdir(trained))
    assert {"checkpoint", "graph.pbtxt", "operative_config.gin", "train.log"} <= names
    for step in (0, 3, 6):
        assert f"model.ckpt-{step}.index" in names
    assert tf.train.latest_checkpoint(str(trained)).endswith("model.ckpt-6")


def test_writes_the_tags_of_the_estimator(trained):
    scalars = tiny.scalars(trained)
    assert {"loss", "learning_rate"} <= set(scalars)
    assert scalars["loss"][1] == pytest.approx(np.log(384), rel=0.2)


def test_weights_are_float32_in_the_checkpoint(trained):
    types = {
        value.dtype for name, value in tiny.variables(trained, 6).items() if name != "global_step"
    }
    assert types == {np.dtype("float32")}


def test_same_seed_same_run_and_another_seed_another(trained, tmp_path):
    tiny.run(tmp_path / "same")
    assert_same(tiny.variables(trained, 6), tiny.variables(tmp_path / "same", 6))
    tiny.run(tmp_path / "other", "run_seed.seed = 7")
    first, other = (tiny.variables(d, 0) for d in (trained, tmp_path / "other"))
    assert any(not np.array_equal(first[name], other[name]) for name in first)


class _StopAfter:
    """A saver listener that sends this process a signal when a step is saved."""

    def __init__(self, step):
        self.step = step

    def before_save(self, sess, step):
        if step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)

    def after_save(self, sess, step):
        pass


def test_sigterm_saves_the_step_and_resuming_repeats_the_uninterrupted_run(
    trained, tmp_path, monkeypatch, capsys
):
    original = checkpoint_writer.CheckpointWriter.from_hooks.__func__

    def with_stop(cls, *args):
        made = original(cls, *args)
        made.listeners.append(_StopAfter(3))
        return made

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_writer.CheckpointWriter, "from_hooks", classmethod(with_stop))
        with pytest.raises(SystemExit) as stopped:
            tiny.run(tmp_path)
    assert stopped.value.code == 128 + signal.SIGTERM
    reached = int(tf.train.latest_checkpoint(str(tmp_path)).rsplit("-", 1)[1])
    assert 3 <= reached < 6
    tiny.run(tmp_path)
    assert_same(tiny.variables(trained, 6), tiny.variables(tmp_path, 6))


@pytest.mark.parametrize(
    "moment, goes_on_from",
    slow.all_but(
        [("within", 0)], [("before", 0), ("within", 0), ("after", 3)], name=lambda value: value[0]
    ),
)
def test_kill_in_the_middle_of_a_checkpoint(trained, tmp_path, capfd, moment, goes_on_from):
    command = [sys.executable, "-m", "tests.runtime.killed_run", str(tmp_path), "3", moment]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    latest = tf.train.latest_checkpoint(str(tmp_path))
    assert latest.endswith(f"model.ckpt-{goes_on_from}")
    tiny.run(tmp_path)
    assert_same(tiny.variables(trained, 6), tiny.variables(tmp_path, 6))


def test_a_finished_run_has_nothing_to_do(trained, capfd):
    tiny.run(trained)
    assert "nothing to do" in capfd.readouterr().err


def test_another_architecture_in_the_directory_is_refused(trained):
    with pytest.raises(SystemExit) as refused:
        tiny.run(trained, "d_ff = 48", "utils.run.train_steps = 9")
    assert refused.value.code == 2


def test_the_record_holds_wiring_and_vocabulary(trained):
    record = json.loads((trained / "primer.json").read_text())
    assert record["wiring"]["layer_stack"] == "LayerStack"
    assert record["vocabulary"]["size"] == 259


def test_keep_checkpoint_max_and_input_positions(tmp_path):
    tiny.run(
        tmp_path,
        "utils.run.keep_checkpoint_max = 2",
        "utils.run.save_checkpoints_steps = 1",
        "utils.run.train_steps = 4",
    )
    names = os.listdir(tmp_path)
    for kind in (checkpoint_writer.MODEL, checkpoint_writer.INPUT):
        kept = sorted(n for n in names if n.startswith(kind) and n.endswith(".index"))
        assert kept == [f"{kind}-3.index", f"{kind}-4.index"]


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path, capfd):
    with pytest.raises(SystemExit) as ended:
        tiny.run(tmp_path, "utils.run.learning_rate_schedule = 1e30")
    assert ended.value.code == 1
    said = capfd.readouterr().err
    assert "the loss is" in said and "model.ckpt-0" in said and "learning rate" in said


def test_a_damaged_latest_checkpoint_is_reported(tmp_path, capfd):
    tiny.run(tmp_path)
    for path in tmp_path.glob("model.ckpt-6.data*"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SystemExit) as ended:
        tiny.run(tmp_path, "utils.run.train_steps = 9")
    assert ended.value.code == 1
    assert "cannot be read" in capfd.readouterr().err
    for path in tmp_path.glob("model.ckpt-6*"):
        path.unlink()
    tiny.run(tmp_path)  # As the message says: from step 3, and to the same end.
    assert "resuming at step 3" in capfd.readouterr().err
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("model.ckpt-6")


def test_an_update_that_spoils_the_weights_is_not_saved(tmp_path, capfd):
    """The loss of step 3 is good, the weights after it are not."""
    with pytest.raises(SystemExit) as ended:
        tiny.run(
            tmp_path,
            "utils.run.train_steps = 3",
            "utils.run.learning_rate_schedule = @spoiled_after_two",
        )
    assert ended.value.code == 1
    assert "NaN or infinite after step 3" in capfd.readouterr().err
    assert not list(tmp_path.glob("model.ckpt-3*"))


def test_microbatches_draw_different_noise_and_train(tmp_path):
    tiny.run(tmp_path, "utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = 32")
    assert tiny.variables(tmp_path, 6)["global_step"] == 6


def test_the_replaced_hooks_exist_by_name():
    assert hasattr(tf.compat.v1.train, loop.REPLACED_HOOKS[0])
