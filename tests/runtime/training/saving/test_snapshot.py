"""Snapshots: the values of one step, written while later steps run, by each host its own."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, variable_slices
from primer.runtime.training.saving import snapshot
from tests.evaluation import small_checkpoints

TWO_DEVICES = tf.ConfigProto(device_count={"CPU": 2})


@pytest.mark.parametrize("use_resource", [False, True])
def test_later_steps_do_not_change_a_snapshot(tmp_path, use_resource):
    with tf.Graph().as_default(), tf.Session() as sess:
        tf.get_variable_scope().set_use_resource(use_resource)
        weight = tf.get_variable("w", initializer=[1.0, 2.0])
        step = tf.get_variable("step", initializer=np.int64(3), trainable=False)
        updates = [weight.assign_sub([1.0, 1.0]), step.assign_add(1)]
        taken = snapshot.Snapshot([weight, step])
        sess.run(tf.global_variables_initializer())
        for number in (3, 4):
            taken.take(sess)
            sess.run(updates)
            taken.write(sess, f"{tmp_path}/model.ckpt-{number}")
            taken.forget(sess)
    for number, value in ((3, [1.0, 2.0]), (4, [0.0, 1.0])):
        found = small_checkpoints.load(tmp_path / f"model.ckpt-{number}")
        assert (found["step"], list(found["w"])) == (number, value)


def test_a_value_that_is_not_finite_is_named():
    with tf.Graph().as_default(), tf.Session() as sess:
        weights = [tf.get_variable(n, initializer=[v]) for n, v in (("a", 1.0), ("b", np.inf))]
        taken = snapshot.Snapshot(weights)
        sess.run(tf.global_variables_initializer())
        taken.take(sess)
        assert taken.first_not_finite(sess) == "b"


@pytest.fixture
def two_hosts(monkeypatch, tmp_path):
    """Two devices that count as hosts: a weight in two halves, and two replicated weights."""
    monkeypatch.setattr(snapshot, "_host", lambda device: device)
    monkeypatch.setattr(snapshot, "_file_host", lambda host: host)
    with tf.Graph().as_default(), tf.Session(config=TWO_DEVICES) as sess:
        for name, begins in (
            ("half", [(0,), (2,)]),
            ("same", [(0,), (0,)]),
            ("same_too", [(0,), (0,)]),
        ):
            size = 2 if name == "half" else 4
            slices = []
            for number, begin in enumerate(begins):
                with tf.device(f"/device:CPU:{number}"):
                    value = np.arange(begin[0], begin[0] + size, dtype=np.float32)
                    slices.append(
                        tf.get_variable(f"{name}_{number}", initializer=value, use_resource=True)
                    )
            master = tf.get_variable(name, [4])
            variable_slices.record(
                variable_slices.SlicedVariables(
                    (master,), False, tuple(begins), (size,), tuple(slices)
                )
            )
        masters = [master for one in variable_slices.of_graph() for master in one.masters]
        taken = snapshot.Snapshot(masters)
        sess.run([v.initializer for v in tf.global_variables() if v not in masters])
        taken.take(sess)
        yield taken, sess, f"{tmp_path}/model.ckpt-5"


def test_each_host_writes_its_own_slices(two_hosts):
    taken, sess, path = two_hosts
    taken.write(sess, path)
    names = sorted(name.rsplit(".", 1)[1] for name in checkpoint_files.files_of(path))
    assert names == ["data-00000-of-00002", "data-00001-of-00002", "index"]
    found = small_checkpoints.load(path)
    assert {name: list(value) for name, value in found.items()} == {
        name: [0, 1, 2, 3] for name in ("half", "same", "same_too")
    }
    sizes = [tf.io.gfile.stat(name).length for name in checkpoint_files.files_of(path)[:2]]
    assert sizes == [24, 24]  # Half of the first weight, and one of the replicated weights.


def test_a_kill_before_the_index_has_its_name_leaves_no_checkpoint(two_hosts, monkeypatch):
    taken, sess, path = two_hosts
    stock, renamed = tf.io.gfile.rename, []

    def rename(old, new, overwrite=False):
        if new.endswith(".index"):
            raise KeyboardInterrupt
        renamed.append(new)
        stock(old, new, overwrite)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tf.io.gfile, "rename", rename)
        taken.write(sess, path)
    assert len(renamed) == 2 and not checkpoint_files.is_whole(path)
    taken.write(sess, path)
    assert checkpoint_files.is_whole(path)


def test_files_of_another_number_of_hosts_are_replaced(two_hosts, tmp_path):
    taken, sess, path = two_hosts
    small_checkpoints.save(tmp_path, 5, {"half": np.zeros(4, np.float32)})
    taken.write(sess, path)
    assert checkpoint_files.is_whole(path)
    assert list(small_checkpoints.load(path)["half"]) == [0, 1, 2, 3]


def test_a_damaged_part_is_named(two_hosts):
    taken, sess, path = two_hosts
    taken.write(sess, path)
    part = f"{path}.data-00001-of-00002"
    with open(part, "r+b") as file:
        file.write(b"?")
    with pytest.raises(tf.errors.OpError) as raised:
        small_checkpoints.load(path)
    message = checkpoint_files.damaged(path, raised.value)
    assert "model.ckpt-5.data-00001-of-00002" in message
    assert "model.ckpt-5.data-00000-of-00002" not in message
