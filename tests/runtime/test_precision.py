"""The data types of a run."""

import gin
import mesh_tensorflow.transformer.utils  # noqa: F401  (registers get_variable_dtype with gin)
import pytest
import tensorflow.compat.v1 as tf

from primer.common import build_mode
from primer.errors import UsageError
from primer.runtime import precision


def bind(name, value):
    with gin.unlock_config():
        gin.bind_parameter(name, value)


def test_weights_and_evaluation_are_in_float32(monkeypatch):
    monkeypatch.setattr(precision, "hardware_has_bfloat16", lambda: True)
    with build_mode.building("eval"):
        types = precision.variable_dtype()
    assert (types.master_dtype, types.slice_dtype) == (tf.float32, tf.float32)
    assert types.activation_dtype == tf.float32


@pytest.mark.parametrize("native, dtype", [(True, tf.bfloat16), (False, tf.float32)])
def test_auto_depends_on_the_hardware_in_training(monkeypatch, native, dtype):
    monkeypatch.setattr(precision, "hardware_has_bfloat16", lambda: native)
    with build_mode.building("train"):
        assert precision.variable_dtype().activation_dtype == dtype


def test_the_setting_overrides_the_type_that_t5_binds():
    bind("precision.activation_dtype", "bfloat16")
    bind("utils.get_variable_dtype.activation_dtype", "float32")  # As t5's main does.
    with build_mode.building("train"):
        assert precision.variable_dtype().activation_dtype == tf.bfloat16


def test_another_type_is_an_error():
    bind("precision.activation_dtype", "float16")
    with pytest.raises(UsageError, match="float16.*auto, float32, bfloat16"):
        precision.precision()


def test_cpu_flags_decide_without_a_gpu(monkeypatch):
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
    assert precision.hardware_has_bfloat16()
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset({"avx512f"}))
    assert not precision.hardware_has_bfloat16()


@pytest.mark.parametrize("capability, native", [((8, 0), True), ((7, 5), False)])
def test_the_compute_capability_of_the_oldest_gpu_decides(monkeypatch, capability, native):
    details = {"new": (9, 0), "other": capability}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(details))
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: {"compute_capability": details[gpu]},
    )
    assert precision.hardware_has_bfloat16() is native


def test_a_tpu_trains_in_bfloat16_on_any_host(monkeypatch):
    monkeypatch.setattr(precision, "hardware_has_bfloat16", lambda: False)
    with build_mode.building("train", for_tpu=True):
        assert precision.precision()[0] == tf.bfloat16
    with build_mode.building("eval", for_tpu=True):
        assert precision.precision()[0] == tf.float32
