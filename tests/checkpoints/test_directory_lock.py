"""One run at a time in a model directory, local or remote."""

import time

import pytest
import tensorflow as tf

from primer.checkpoints import directory_lock
from primer.errors import UsageError
from tests.runtime import tiny


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(directory_lock, "HEARTBEAT_SECONDS", 0.2)


@pytest.fixture
def remote(request):
    """A folder in TensorFlow's file system in memory, in place of gs://."""
    folder = f"ram://{request.node.name}"
    yield folder
    if tf.io.gfile.exists(folder):
        tf.io.gfile.rmtree(folder)


def assert_one_at_a_time(folder):
    with directory_lock.held(folder):
        with pytest.raises(UsageError, match="in use by the process"):
            with directory_lock.held(folder):
                pass
    with directory_lock.held(folder):
        pass


def test_a_directory_in_use_is_refused(tmp_path):
    assert_one_at_a_time(str(tmp_path))


def test_a_remote_directory_in_use_is_refused(remote, quick):
    assert_one_at_a_time(remote)
    assert not tf.io.gfile.exists(f"{remote}/{directory_lock.LOCK_FILE}")


def test_the_lock_of_a_dead_run_is_taken_over(remote, quick, capfd):
    tf.io.gfile.makedirs(remote)
    with tf.io.gfile.GFile(f"{remote}/{directory_lock.LOCK_FILE}", "w") as lock:
        lock.write("17 on a_host_that_died\nbeat\n")
    began = time.monotonic()
    with directory_lock.held(remote):
        assert time.monotonic() - began >= 2 * directory_lock.HEARTBEAT_SECONDS
    assert "a_host_that_died" in capfd.readouterr().err


def test_training_and_evaluation_write_all_files_to_a_remote_directory(remote, quick):
    """Trains, resumes and evaluates; no local file exists."""
    tiny.run(remote)
    names = set(tf.io.gfile.listdir(remote))
    expected = {"checkpoint", "graph.pbtxt", "operative_config.gin", "primer.json", "config.gin"}
    assert expected | {"model.ckpt-6.index", "input.ckpt-6.index", "train.log"} <= names
    assert tiny.scalars(remote)["loss"].keys() == {1, 6}
    tiny.run(remote, "utils.run.train_steps = 9")
    assert tiny.variables(remote, 9)["global_step"] == 9
    tiny.run(
        remote,
        "utils.run.mode = 'perplexity_eval'",
        "utils.run.dataset_split = 'validation'",
        "utils.run.eval_checkpoint_step = -1",
        "utils.run.perplexity_eval_steps = 2",
    )
    (events,) = tf.io.gfile.glob(f"{remote}/eval_*")
    assert tiny.scalars(events)["neg_log_perplexity"].keys() == {9}
