"""Checkpoints of training: their files, the position of the input, a kill while writing."""

import os
import signal
import subprocess
import sys
import threading

import gin
import numpy as np
import pytest
import tensorflow as tf

from primer.errors import RunError
from primer.runtime.training.saving import checkpoint_writer, input_position, snapshot
from tests import slow
from tests.evaluation import small_checkpoints
from tests.paths import ROOT
from tests.runtime import tiny


@gin.configurable
def spoiled_after_two(step, total_train_steps=None):
    """A learning rate that is infinite in the third step."""
    return tf.where(tf.cast(step, tf.float32) < 2, 0.01, float("inf"))


def test_saved_weights_are_float32(trained):
    types = {
        value.dtype for name, value in tiny.variables(trained, 6).items() if name != "global_step"
    }
    assert types == {np.dtype("float32")}


@pytest.mark.parametrize(
    "moment, step",
    slow.all_but(
        [("late", 0)],
        [("before", 0), ("late", 0), ("within", 0), ("after", 3)],
        name=lambda value: value[0],
    ),
)
def test_a_run_resumed_after_a_kill_equals_an_uninterrupted_one(trained, tmp_path, moment, step):
    command = [sys.executable, "-m", "tests.runtime.killed_run", str(tmp_path), "3", moment]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    latest = tf.train.latest_checkpoint(str(tmp_path))
    assert latest.endswith(f"model.ckpt-{step}")
    tiny.run(tmp_path)
    tiny.assert_equal_variables(tiny.variables(trained, 6), tiny.variables(tmp_path, 6))


def test_input_positions_are_kept_as_long_as_their_checkpoints(tmp_path):
    tiny.run(
        tmp_path,
        "utils.run.keep_checkpoint_max = 2",
        "utils.run.save_checkpoints_steps = 1",
        "utils.run.train_steps = 4",
    )
    names = os.listdir(tmp_path)
    for kind in (checkpoint_writer.MODEL, input_position.INPUT):
        kept = sorted(n for n in names if n.startswith(kind) and n.endswith(".index"))
        assert kept == [f"{kind}-3.index", f"{kind}-4.index"]
    records = sorted(n for n in names if n.endswith(".json") and n.startswith("input"))
    assert records == [f"{input_position.INPUT}-{step}.json" for step in (3, 4)]


def test_an_update_that_spoils_the_weights_is_not_saved(tmp_path, capfd):
    """The loss of step 3 is finite, the weights after it are not."""
    with pytest.raises(SystemExit) as ended:
        tiny.run(
            tmp_path,
            "utils.run.train_steps = 3",
            "utils.run.learning_rate_schedule = @spoiled_after_two",
        )
    assert ended.value.code == 1
    assert "NaN or infinite after step 3" in capfd.readouterr().err
    assert not list(tmp_path.glob("model.ckpt-3*"))


def test_a_variable_of_the_optimizer_that_is_nan_is_not_saved(make_writer, tmp_path):
    """Its weights are finite, and the next step would spoil them."""
    slot = tf.compat.v1.get_variable("w_slot_v", initializer=[1.0], trainable=False)
    writer = make_writer()
    with tf.compat.v1.Session() as sess:
        sess.run(tf.compat.v1.global_variables_initializer())
        writer.save(sess, 3)
        sess.run(slot.assign([np.nan]))
        with pytest.raises(RunError, match="w_slot_v is NaN .* step 6.* is .*model.ckpt-3. Try"):
            writer.save(sess, 6)
    assert not list(tmp_path.glob("*-6*"))


def test_initial_values_that_are_nan_are_refused(make_writer):
    writer = make_writer(initial=[np.nan, 1.0])
    with tf.compat.v1.Session() as sess:
        sess.run(tf.compat.v1.global_variables_initializer())
        with pytest.raises(RunError, match="w is NaN .* before the first step: check the init"):
            writer.save(sess, 0)
        gin.bind_parameter("utils.run.init_checkpoint", "m/model.ckpt-5")
        with pytest.raises(RunError, match="utils.run.init_checkpoint = 'm/model.ckpt-5' is not"):
            writer.save(sess, 0)


def test_the_last_good_checkpoint_is_the_one_that_a_run_resumed_from(make_writer, tmp_path):
    """The file `checkpoint` names one whose files a user has deleted."""
    for step in (3, 6):
        small_checkpoints.save(tmp_path, step, {"w": np.array([1, 2], np.float32)})
    tf.compat.v1.train.update_checkpoint_state(str(tmp_path), f"{tmp_path}/model.ckpt-6")
    for path in tmp_path.glob("model.ckpt-6*"):
        path.unlink()
    writer = make_writer()
    with tf.compat.v1.Session() as sess:
        writer.open(sess)
        writer.close()
    assert writer.last_path == f"{tmp_path}/model.ckpt-3"


@pytest.fixture
def make_writer(tmp_path):
    """A function of the constructor's settings that makes the writer of one weight."""

    def make(every=3, iterator=None, initial=(1.0, 2.0)):
        tf.compat.v1.get_variable("w", initializer=list(initial))
        saver = tf.compat.v1.train.Saver()
        return checkpoint_writer.CheckpointWriter(str(tmp_path), saver, [], every, iterator)

    with tf.Graph().as_default():
        yield make


@pytest.mark.parametrize("every, due", [(3, [3, 6]), (1, [1, 2, 3, 4, 5, 6]), (None, []), (0, [])])
def test_checkpoints_are_due_at_multiples(make_writer, every, due):
    writer = make_writer(every)
    assert [step for step in range(1, 7) if writer.is_due(step)] == due


def test_a_step_is_written_once(make_writer):
    writer, calls = make_writer(), []
    writer.listeners.append(Listener(calls))
    with tf.compat.v1.Session() as sess:
        sess.run(tf.compat.v1.global_variables_initializer())
        writer.save(sess, 2)
        writer.save(sess, 2)
    assert calls == [("before", 2), ("after", 2)]
    assert (writer.last_step, writer.last_path[-2:]) == (2, "-2")


class Listener:
    """Records the calls of a saving listener."""

    def __init__(self, calls):
        self._calls = calls

    def before_save(self, sess, step):
        self._calls.append(("before", step))

    def after_save(self, sess, step):
        self._calls.append(("after", step))


def test_a_full_disk_is_reported_with_the_last_checkpoint(make_writer, monkeypatch):
    writer = make_writer()

    def fail(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device\nat write")

    with tf.compat.v1.Session() as sess:
        sess.run(tf.compat.v1.global_variables_initializer())
        writer.save(sess, 2)
        monkeypatch.setattr(snapshot.Snapshot, "write", fail)
        with pytest.raises(RunError, match="step 3 .*No space left on device.*model.ckpt-2"):
            writer.save(sess, 3)


class SlowDisk:
    """Lets the writing of snapshots wait until it is told to go on, or fail."""

    def __init__(self, monkeypatch):
        self.gate, self.error = threading.Event(), None
        stock = snapshot.Snapshot.write

        def write(taken, sess, path):
            assert self.gate.wait(30)
            if self.error:
                raise self.error
            stock(taken, sess, path)

        monkeypatch.setattr(snapshot.Snapshot, "write", write)


def test_training_goes_on_while_a_checkpoint_is_written(make_writer, monkeypatch, tmp_path):
    writer, disk, calls = make_writer(), SlowDisk(monkeypatch), []
    writer.listeners.append(Listener(calls))
    (weight,) = tf.compat.v1.global_variables()
    update = weight.assign_add([1.0, 1.0])
    with tf.compat.v1.Session() as sess:
        sess.run(tf.compat.v1.global_variables_initializer())
        writer.start(sess, 3)
        writer.start(sess, 3)  # It is under way.
        sess.run(update)
        writer.poll()
        assert (writer.last_path, calls) == (None, [("before", 3)])
        assert tf.train.latest_checkpoint(str(tmp_path)) is None
        disk.gate.set()
        writer.save(sess, 4)  # It waits for the one before.
    assert calls == [(when, step) for step in (3, 4) for when in ("before", "after")]
    for step, value in ((3, [1.0, 2.0]), (4, [2.0, 3.0])):
        assert list(tiny.variables(tmp_path, step)["w"]) == value


def test_an_error_of_the_thread_is_raised_at_the_next_step(make_writer, monkeypatch):
    writer, disk = make_writer(), SlowDisk(monkeypatch)
    disk.error = tf.errors.ResourceExhaustedError(None, None, "No space left")
    with tf.compat.v1.Session() as sess:
        sess.run(tf.compat.v1.global_variables_initializer())
        writer.start(sess, 3)
        writer.poll()
        disk.gate.set()
        with pytest.raises(RunError, match="step 3 cannot be written .*No space left"):
            while True:
                writer.poll()


def test_a_file_that_cannot_be_written_is_named(make_writer, tmp_path):
    writer = make_writer()
    (tmp_path / "model.ckpt-3.index" / "file").mkdir(parents=True)
    with tf.compat.v1.Session() as sess:
        sess.run(tf.compat.v1.global_variables_initializer())
        with pytest.raises(RunError, match=r"step 3 cannot .*\(.*model.ckpt-3.index.*\); the last"):
            writer.save(sess, 3)


def test_the_input_continues_at_the_saved_position(make_writer, tmp_path):
    dataset = tf.data.Dataset.range(10)
    iterator = tf.compat.v1.data.make_initializable_iterator(dataset)
    number = iterator.get_next()
    writer = make_writer(iterator=iterator)
    with tf.compat.v1.Session() as sess:
        sess.run([tf.compat.v1.global_variables_initializer(), iterator.initializer])
        assert [sess.run(number) for _ in range(4)] == [0, 1, 2, 3]
        writer.save(sess, 4)
        assert sess.run(number) == 4
        sess.run(iterator.initializer)
        writer.position.restore(sess, 4)
        assert sess.run(number) == 4


def check_reads_from_the_start(make_writer, spoil):
    """Saves a position behind the first element, spoils it, and restores it."""
    iterator = tf.compat.v1.data.make_initializable_iterator(tf.data.Dataset.range(10))
    number = iterator.get_next()
    writer = make_writer(iterator=iterator)
    with tf.compat.v1.Session() as sess:
        sess.run([tf.compat.v1.global_variables_initializer(), iterator.initializer])
        assert sess.run(number) == 0
        writer.save(sess, 4)
        spoil()
        sess.run(iterator.initializer)
        writer.position.restore(sess, 4)
        assert sess.run(number) == 0


@pytest.mark.parametrize("damaged", ["data-00000-of-00001", "json"])
def test_a_position_that_cannot_be_restored_leaves_an_input_at_its_start(
    make_writer, tmp_path, capsys, damaged
):
    path = tmp_path / f"input.ckpt-4.{damaged}"
    check_reads_from_the_start(make_writer, lambda: path.write_bytes(b"{"))
    assert "reading from the start" in capsys.readouterr().err


def test_a_position_without_a_record_of_its_input_is_not_restored(make_writer, tmp_path, capsys):
    check_reads_from_the_start(make_writer, (tmp_path / "input.ckpt-4.json").unlink)
    assert "has no record of its input" in capsys.readouterr().err


def test_a_step_without_a_position_reads_from_the_start(make_writer, capsys):
    writer = make_writer()
    with tf.compat.v1.Session() as sess:
        writer.position.restore(sess, 7)
    assert capsys.readouterr().err == (
        "No input position was saved at step 7: reading from the start.\n"
    )


def test_a_model_function_without_a_saver_is_an_error(tmp_path):
    with pytest.raises(RunError, match="no CheckpointSaverHook"):
        checkpoint_writer.CheckpointWriter.from_hooks(str(tmp_path), [], 3)
