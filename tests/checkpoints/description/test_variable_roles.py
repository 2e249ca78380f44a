"""Which variables are weights: as recorded, else as the names of known optimizers tell."""

import json

import pytest
import tensorflow.compat.v1 as tf

from primer.checkpoints.description import variable_roles
from primer.errors import UsageError


def record(model_dir, weights, optimizer=()):
    roles = {"weights": list(weights), "optimizer": list(optimizer)}
    (model_dir / "primer.json").write_text(json.dumps({"variables": roles}))


def test_the_graph_of_training_tells_weights_from_the_optimizers_variables():
    with tf.Graph().as_default():
        tf.train.get_or_create_global_step()
        for name, trainable in (("b/kernel", True), ("a", True), ("a/velocity_x", False)):
            tf.get_variable(name, [2], trainable=trainable)
        tf.get_variable("total", [], collections=[tf.GraphKeys.LOCAL_VARIABLES], trainable=False)
        assert variable_roles.describe_graph() == {
            "variables": {"weights": ["a", "b/kernel"], "optimizer": ["a/velocity_x"]}
        }


def test_the_memory_of_training_is_neither(tmp_path):
    memory = "carried_state/layer_000"
    with tf.Graph().as_default():
        for name, trainable in (("a", True), ("a_slot_v", False), (memory, False)):
            tf.get_variable(name, [2], trainable=trainable)
        assert variable_roles.describe_graph() == {
            "variables": {"weights": ["a"], "optimizer": ["a_slot_v"]}
        }
    (tmp_path / "primer.json").write_text("{}")
    assert variable_roles.select_weights(str(tmp_path), ["a", "a_slot_v", memory]) == ["a"]


def test_the_record_decides_whatever_the_names(tmp_path):
    record(tmp_path, ["a", "a_slot_v", "gone"], ["b"])
    names = ["b", "a_slot_v", "a", "of_another_optimizer", "global_step"]
    selected = variable_roles.select_weights(str(tmp_path), names)
    assert selected == ["a", "a_slot_v", "global_step"]


@pytest.mark.parametrize("slots", [["_slot_vr", "_slot_vc"], ["/adam_m", "/adam_v"], []])
def test_without_a_record_slots_of_mesh_tensorflows_optimizers_are_known(tmp_path, slots):
    weights = ["block/q", "block/q_bias_free", "embedding"] if slots else ["block/q", "embedding"]
    names = [*weights, *(weight + slot for weight in weights for slot in slots), "global_step"]
    (tmp_path / "primer.json").write_text("{}")
    selected = variable_roles.select_weights(str(tmp_path), names)
    assert selected == sorted([*weights, "global_step"])


@pytest.mark.parametrize(
    "names, expected",
    [
        (["a", "a/velocity_x"], "a/velocity_x"),
        (["a", "a_velocity"], "a_velocity"),
        (["a/k", "velocity/a/k"], "velocity/a/k"),
        (["a", "a_slot_v", "beta_power"], "beta_power"),
        (["a", *(f"a/{letter}" for letter in "bcdefg")], "a/b, a/c, a/d, a/e and 2 more may"),
    ],
)
def test_without_a_record_other_names_are_refused(tmp_path, names, expected):
    with pytest.raises(UsageError) as error:
        variable_roles.select_weights(str(tmp_path), [*names, "global_step"])
    assert expected in str(error.value) and "primer.json" in str(error.value)
    assert "\n" not in str(error.value)
