"""Mesh-TF's model function prints nothing at every step."""

import types

import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import utils

from primer.runtime.patches.training_step import step_print


def test_print_returns_its_tensor_and_adds_no_operation():
    module = types.SimpleNamespace(tf=tf)
    step_print.patch(module)
    with tf.Graph().as_default() as graph:
        tensor = tf.constant(1.0)
        assert module.tf.Print(tensor, [tensor], "loss") is tensor
        assert [operation.type for operation in graph.get_operations()] == ["Const"]


def test_everything_else_is_tensorflows():
    assert utils.tf.constant is tf.constant
    assert utils.tf.train.Saver is tf.train.Saver
    assert utils.tf.Print is not tf.Print
