"""Checkpoints are restored into variables and into slices, however they were sliced."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.checkpoints import restoring, variable_slices
from primer.errors import RunError, UsageError
from primer.runtime.training.saving.snapshot import Snapshot
from tests.evaluation import small_checkpoints


@pytest.fixture
def directory(tmp_path):
    """Checkpoints of steps 1, 2 and 10, whose variable x is the step, twice."""
    for step in (1, 2, 10):
        small_checkpoints.save(tmp_path, step, {"x": np.full([2], step, np.float32)})
    return tmp_path


def path(directory, step):
    return f"{directory}/model.ckpt-{step}"


def restored(checkpoint, optional=False, **shapes):
    """The values of new variables of these shapes, initially 7, after the restoring."""
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = [
            tf.get_variable(name, shape, initializer=tf.constant_initializer(7.0))
            for name, shape in shapes.items()
        ]
        restore = restoring.Restore(variables, optional=variables if optional else ())
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


def test_a_variable_is_restored_under_another_name(directory):
    with tf.Graph().as_default(), tf.Session() as sess:
        variable = tf.get_variable("y", [2])
        restoring.Restore([variable], names={"y": "x"})(sess, path(directory, 2))
        assert list(sess.run(variable)) == [2, 2]


def test_optional_variables_that_do_not_fit_keep_their_initial_values(directory):
    with tf.Graph().as_default(), tf.Session() as sess:
        required, other = tf.get_variable("y", [2]), tf.get_variable("x", initializer=[7.0])
        restore = restoring.Restore([required, other], [other], {"y": "x", "x": "z"})
        assert restore.missing(path(directory, 1)) == ["x"]
        restore(sess, path(directory, 1))
        assert [list(value) for value in sess.run([required, other])] == [[1, 1], [7]]
    with tf.Graph().as_default():
        wider = tf.get_variable("x", [3])
        assert restoring.Restore([wider], [wider]).missing(path(directory, 1)) == ["x"]


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


WHOLE = {
    "w": np.arange(24, dtype=np.float32).reshape(4, 6),
    "s0": np.arange(4, dtype=np.float32),
    "s1": np.arange(4, 8, dtype=np.float32),
    "step": np.int64(7),
}
# Where the slices of w begin on four devices, and their size: split over both axes, over one with
# two replicas of each slice, and over the other axis.
LAYOUTS = {
    "2x2": ([(0, 0), (0, 3), (2, 0), (2, 3)], (2, 3)),
    "replicas": ([(0, 0), (0, 0), (2, 0), (2, 0)], (2, 6)),
    "columns": ([(0, 0), (0, 2), (0, 4)], (4, 2)),
}


def sliced(begins, size, names, dtype=tf.float32):
    """Makes the masters and slices of variables as Mesh-TF does, stacked if there are several."""
    shape = WHOLE[names[0]].shape
    masters = [tf.get_variable(n, shape, initializer=tf.constant_initializer(9.0)) for n in names]
    stack = [len(names)] if len(names) > 1 else []
    slices = [
        tf.get_variable(
            f"{names[0]}_slice_{n}", [*stack, *size], dtype, use_resource=True, collections=[]
        )
        for n in range(len(begins))
    ]
    variable_slices.record(
        variable_slices.SlicedVariables(
            tuple(masters), bool(stack), tuple(begins), tuple(size), tuple(slices)
        )
    )
    return masters


class Sliced:
    """A graph with w in slices of a layout, two stacked weights s0 and s1 and a whole step."""

    def __init__(self, layout, dtype=tf.float32):
        self.variables = sliced(*LAYOUTS[layout], ["w"], dtype)
        self.variables += sliced([(0,), (2,)], (2,), ["s0", "s1"])
        self.variables.append(tf.get_variable("step", [], tf.int64, tf.zeros_initializer()))
        self.snapshot = Snapshot(self.variables)

    def values(self, sess, path):
        """Returns the values of the slices, as the checkpoint that is written of them has them."""
        self.snapshot.take(sess)
        self.snapshot.write(sess, str(path))
        return small_checkpoints.load(path)


@pytest.fixture
def whole(tmp_path):
    return small_checkpoints.save(tmp_path / "whole", 1, WHOLE)


def moved(layout, checkpoint, path, names=None, optional=False, dtype=tf.float32):
    """Restores a checkpoint into slices of a layout and writes them to another; returns values."""
    with tf.Graph().as_default(), tf.Session() as sess:
        graph = Sliced(layout, dtype)
        chosen = [v for v in graph.variables if names is None or v.op.name in names]
        restore = restoring.Restore(chosen, optional=chosen if optional else ())
        initialize = variable_slices.initializer(graph.variables)
        if names:
            sess.run(initialize)
        restore(sess, checkpoint)
        return graph.values(sess, path)


def assert_same(values, expected):
    assert values.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(values[name], value, err_msg=name)


@pytest.mark.parametrize("first, second", [("2x2", "replicas"), ("columns", "2x2")])
def test_slices_are_restored_in_another_layout(whole, tmp_path, first, second):
    paths = [tmp_path / f"model.ckpt-{n}" for n in range(2)]
    assert_same(moved(first, whole, paths[0]), WHOLE)
    assert_same(moved(second, str(paths[0]), paths[1]), WHOLE)
    assert restored(str(paths[0]), s1=[4], w=[4, 6])["w"] == WHOLE["w"].tolist()
    stock = tf.train.load_checkpoint(str(paths[0]))
    assert stock.get_variable_to_shape_map()["w"] == [4, 6]


def test_slices_of_another_type_are_cast(tmp_path):
    bfloat16 = {**WHOLE, "w": WHOLE["w"].astype(tf.bfloat16.as_numpy_dtype)}
    checkpoint = small_checkpoints.save(tmp_path / "bfloat16", 1, bfloat16)
    assert_same(moved("2x2", checkpoint, tmp_path / "model.ckpt-1"), WHOLE)
    values = moved("2x2", checkpoint, tmp_path / "model.ckpt-2", dtype=tf.bfloat16)
    assert_same(values, WHOLE)  # Slices of activations' type; a checkpoint has the master's.


def test_a_part_of_stacked_weights_is_restored_alone(whole, tmp_path):
    values = moved("2x2", whole, tmp_path / "model.ckpt-1", names=["s1"])
    nines = {name: np.full_like(value, 9) for name, value in WHOLE.items()}
    assert_same(values, {**nines, "s1": WHOLE["s1"], "step": np.int64(0)})


def test_slices_that_are_missing_get_their_initial_values(tmp_path):
    without = {name: value for name, value in WHOLE.items() if name != "s0"}
    checkpoint = small_checkpoints.save(tmp_path / "without", 1, without)
    values = moved("2x2", checkpoint, tmp_path / "model.ckpt-1", optional=True)
    assert_same(values, {**WHOLE, "s0": np.full([4], 9.0)})


@pytest.mark.parametrize("name", ["w", "s1"])
def test_a_slice_that_is_not_finite_is_refused(tmp_path, name):
    spoiled = {**WHOLE, name: WHOLE[name].copy()}
    spoiled[name].flat[-1] = np.nan
    checkpoint = small_checkpoints.save(tmp_path / "spoiled", 1, spoiled)
    with pytest.raises(RunError, match=f"^{name} is NaN or infinite in"):
        moved("2x2", checkpoint, tmp_path / "model.ckpt-1")


def test_masters_are_restored_whole_for_an_export(whole):
    with tf.Graph().as_default(), tf.Session() as sess:
        graph = Sliced("2x2")
        restoring.Restore(graph.variables, whole=True)(sess, whole)
        np.testing.assert_array_equal(sess.run(graph.variables[0]), WHOLE["w"])
