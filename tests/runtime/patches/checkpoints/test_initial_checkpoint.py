"""Of another checkpoint only weights are loaded, through TensorFlow's estimator too."""

import types

import tensorflow.compat.v1 as tf

from primer.runtime.patches.checkpoints import initial_checkpoint


def test_neither_step_nor_slots_are_loaded():
    utils = types.SimpleNamespace(should_load_variable=lambda name: name != "b")
    initial_checkpoint.patch(utils)
    with tf.Graph().as_default():
        tf.train.get_or_create_global_step()
        for name in ("a", "b", "a_slot_v"):
            tf.get_variable(name, [2], trainable="slot" not in name)
        names = [v.op.name for v in tf.global_variables()]
        assert [name for name in names if utils.should_load_variable(name)] == ["a"]
