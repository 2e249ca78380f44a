"""The names of the Estimator on a TensorFlow that has none."""

import importlib

import pytest
import tensorflow as tf

from primer.runtime.patches.missing_names import estimator_stub


def test_the_estimator_of_an_old_tensorflow_is_left_alone():
    estimator_stub.patch(tf)
    is_stub = tf.compat.v1.estimator.ModeKeys is estimator_stub.ModeKeys
    version = tuple(int(part) for part in tf.__version__.split(".")[:2])
    assert is_stub is (version >= (2, 16))


def test_the_modules_of_the_tpu_form_can_be_imported():
    tpu_estimator = importlib.import_module("tensorflow.python.tpu.tpu_estimator")
    tpu_config = importlib.import_module("tensorflow.python.tpu.tpu_config")
    spec = tpu_estimator.TPUEstimatorSpec(mode="eval", loss=1.0)
    assert (spec.mode, spec.loss) == ("eval", 1.0)
    assert tpu_config.InputPipelineConfig.PER_HOST_V2 == 3


def test_the_modes_are_those_of_the_estimator():
    modes = estimator_stub.ModeKeys
    assert (modes.TRAIN, modes.EVAL, modes.PREDICT) == ("train", "eval", "infer")


def test_a_tpu_without_the_estimator_says_what_to_install():
    with pytest.raises(ImportError, match=r"\[tpu\]"):
        estimator_stub.TPUEstimator(model_fn=None)
