"""TensorFlow's moved function is there under its old name."""

import types

import tensorflow as tf
from tensorflow.python.framework import ops

from primer.runtime.patches.missing_names import tensor_conversion


def test_a_missing_name_is_added():
    module = types.ModuleType("ops")
    tensor_conversion.patch(module)

    class Two:
        pass

    module.register_tensor_conversion_function(
        Two, lambda value, dtype=None, name=None, as_ref=False: tf.constant(2)
    )
    with tf.Graph().as_default(), tf.compat.v1.Session() as sess:
        assert sess.run(tf.convert_to_tensor(Two())) == 2


def test_an_existing_name_is_left_alone(monkeypatch):
    existing = object()
    monkeypatch.setattr(ops, "register_tensor_conversion_function", existing, raising=False)
    tensor_conversion.patch(ops)
    assert ops.register_tensor_conversion_function is existing
