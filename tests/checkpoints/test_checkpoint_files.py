"""Checkpoints are listed, checked and restored."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files
from primer.errors import RunError, UsageError
from tests.evaluation import small_checkpoints


@pytest.fixture
def directory(tmp_path):
    for step in (1, 2, 10):
        small_checkpoints.save(tmp_path, step, {"x": np.full([2], step, np.float32)})
    return tmp_path


def path(directory, step):
    return f"{directory}/model.ckpt-{step}"


def remove_data(directory, step):
    for file in directory.glob(f"model.ckpt-{step}.data-*"):
        file.unlink()


def test_the_step_is_in_the_name():
    assert checkpoint_files.step_of("/runs/a/model.ckpt-120") == 120
    assert checkpoint_files.step_of(None) == 0
    with pytest.raises(UsageError, match="model.ckpt-<step>"):
        checkpoint_files.step_of("/runs/a/weights-120")


def test_a_directory_lists_its_checkpoints_and_the_whole_ones(directory):
    remove_data(directory, 2)
    (directory / "model.ckpt-7.meta").write_text("")  # Left over.
    listed = checkpoint_files.list_checkpoints(str(directory))
    assert listed == {step: path(directory, step) for step in (1, 2, 10)}
    assert checkpoint_files.whole_steps(str(directory)) == [1, 10]
    assert checkpoint_files.has_index(path(directory, 2))
    assert not checkpoint_files.is_whole(path(directory, 2))


def test_the_latest_is_the_named_one_else_the_newest_whole_one(directory):
    tf.train.update_checkpoint_state(str(directory), path(directory, 2))
    assert checkpoint_files.latest_checkpoint(str(directory)) == path(directory, 2)
    for file in directory.glob("model.ckpt-2.*"):
        file.unlink()
    assert checkpoint_files.latest_checkpoint(str(directory)) == path(directory, 10)
    remove_data(directory, 10)
    assert checkpoint_files.latest_checkpoint(str(directory)) == path(directory, 1)
    assert checkpoint_files.latest_checkpoint(str(directory / "none")) is None


def test_what_cannot_be_read_is_an_error_with_the_reason(directory):
    checkpoint_files.check_whole(path(directory, 1))
    remove_data(directory, 2)
    with pytest.raises(RunError, match="model.ckpt-2 is incomplete or damaged"):
        checkpoint_files.check_whole(path(directory, 2))
    with pytest.raises(RunError, match="model.ckpt-3 is not there any more"):
        checkpoint_files.check_whole(path(directory, 3))
    (directory / "model.ckpt-1.index").write_bytes(b"no index")
    with pytest.raises(RunError, match="model.ckpt-1 cannot be read"):
        checkpoint_files.open_reader(path(directory, 1))


def test_the_fingerprint_is_of_the_content(directory, tmp_path):
    value = np.full([2], 1, np.float32)
    same, other = (
        small_checkpoints.save(tmp_path / "other", step, {"x": value * factor})
        for step, factor in ((5, 1), (6, 2))
    )
    first = checkpoint_files.fingerprint(path(directory, 1))
    assert first == checkpoint_files.fingerprint(same)
    assert first != checkpoint_files.fingerprint(other)
    with pytest.raises(RunError, match="cannot be read"):
        checkpoint_files.fingerprint(path(directory, 3))


def test_variables_are_checked_before_training(directory):
    with tf.Graph().as_default():
        x, y = tf.get_variable("x", [2]), tf.get_variable("y", [])
        checkpoint_files.check_variables(path(directory, 1), [x], str(directory))
        with pytest.raises(UsageError, match="another architecture or vocabulary.* no variable y"):
            checkpoint_files.check_variables(path(directory, 1), [x, y], str(directory))


def test_the_newest_finite_checkpoint_is_whole(directory):
    assert checkpoint_files.newest_finite(str(directory), ["x"]) == path(directory, 10)
    remove_data(directory, 10)
    assert checkpoint_files.newest_finite(str(directory), ["x"]) == path(directory, 2)
