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


def restored(checkpoint, optional=False, **shapes):
    """The values of new variables of these shapes, initially 7, after the restoring."""
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = [
            tf.get_variable(name, shape, initializer=tf.constant_initializer(7.0))
            for name, shape in shapes.items()
        ]
        restore = checkpoint_files.Restore(variables, optional=variables if optional else ())
        restore(sess, checkpoint)
        return {v.op.name: sess.run(v).tolist() for v in variables}


def test_values_are_restored_and_cast(directory):
    assert restored(path(directory, 2), x=[2]) == {"x": [2.0, 2.0]}
    value = np.array([1.5, 2.0]).astype(tf.bfloat16.as_numpy_dtype)
    cast = small_checkpoints.save(directory / "bfloat16", 1, {"x": value})
    assert restored(cast, x=[2]) == {"x": [1.5, 2.0]}


def test_only_optional_variables_may_be_missing(directory):
    checkpoint = path(directory, 1)
    assert restored(checkpoint, optional=True, x=[2], y=[]) == {"x": [1.0, 1.0], "y": 7.0}
    with pytest.raises(UsageError, match="has no variable y"):
        restored(checkpoint, x=[2], y=[])
    with pytest.raises(UsageError, match=r"has x of shape \[2\], and the model's is \[3\]"):
        restored(checkpoint, x=[3])


def test_variables_are_checked_before_training(directory):
    with tf.Graph().as_default():
        x, y = tf.get_variable("x", [2]), tf.get_variable("y", [])
        checkpoint_files.check_variables(path(directory, 1), [x], str(directory))
        with pytest.raises(UsageError, match="another architecture or vocabulary.* no variable y"):
            checkpoint_files.check_variables(path(directory, 1), [x, y], str(directory))


def test_a_variable_is_restored_under_another_name(directory):
    with tf.Graph().as_default(), tf.Session() as sess:
        variable = tf.get_variable("y", [2])
        checkpoint_files.Restore([variable], names={"y": "x"})(sess, path(directory, 2))
        assert list(sess.run(variable)) == [2, 2]


def test_optional_variables_that_do_not_fit_keep_their_initial_values(directory):
    with tf.Graph().as_default(), tf.Session() as sess:
        required, other = tf.get_variable("y", [2]), tf.get_variable("x", initializer=[7.0])
        restore = checkpoint_files.Restore([required, other], [other], {"y": "x", "x": "z"})
        assert restore.missing(path(directory, 1)) == ["x"]
        restore(sess, path(directory, 1))
        assert [list(value) for value in sess.run([required, other])] == [[1, 1], [7]]
    with tf.Graph().as_default():
        wider = tf.get_variable("x", [3])
        assert checkpoint_files.Restore([wider], [wider]).missing(path(directory, 1)) == ["x"]


def spoil(directory, step, **values):
    for name in directory.glob(f"model.ckpt-{step}.*"):
        name.unlink()
    values = {"x": np.full([2], step, np.float32), **values}
    return small_checkpoints.save(directory, step, values)


@pytest.mark.parametrize("dtype", [np.float32, tf.bfloat16.as_numpy_dtype])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_with_the_way_out(directory, value, dtype):
    spoil(directory, 2, x=np.array([1.0, value]).astype(dtype))
    spoiled = spoil(directory, 10, x=np.array([value, 1.0]).astype(dtype))
    with pytest.raises(RunError) as refused:
        restored(spoiled, x=[2])
    message = str(refused.value)
    assert message.startswith(f"x is NaN or infinite in the checkpoint {spoiled}")
    assert f"the newest finite one beside it is {path(directory, 1)}: name step 1" in message
    assert "delete model.ckpt-2.*, model.ckpt-10.*, and training continues" in message


def test_a_variable_that_is_not_read_may_be_nan(directory):
    checkpoint = spoil(directory, 10, x_slot_v=np.float32(np.nan))
    assert restored(checkpoint, x=[2]) == {"x": [10.0, 10.0]}
    with pytest.raises(RunError, match="x_slot_v is NaN .* newest finite one .*model.ckpt-2:"):
        restored(checkpoint, optional=True, x=[2], x_slot_v=[])


def test_the_only_checkpoint_is_nan(directory):
    for step in (1, 2, 10):
        spoiled = spoil(directory, step, x=np.array([np.nan, 1], np.float32))
    with pytest.raises(RunError, match="no other that is finite: train in a new model_dir"):
        restored(spoiled, x=[2])


def test_the_newest_finite_checkpoint_is_whole(directory):
    assert checkpoint_files.newest_finite(str(directory), ["x"]) == path(directory, 10)
    remove_data(directory, 10)
    assert checkpoint_files.newest_finite(str(directory), ["x"]) == path(directory, 2)
