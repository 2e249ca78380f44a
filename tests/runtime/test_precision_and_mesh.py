"""Data types of a run, and the mesh of a machine without a TPU."""

import gin
import mesh_tensorflow as mtf
import mesh_tensorflow.transformer.utils  # noqa: F401  (what gin binds below)
import pytest
import tensorflow.compat.v1 as tf

from primer.common import build_mode
from primer.errors import UsageError
from primer.runtime import mesh, precision


def bind(name, value):
    with gin.unlock_config():
        gin.bind_parameter(name, value)


def test_weights_are_float32_and_evaluation_is_too(monkeypatch):
    monkeypatch.setattr(precision, "hardware_has_bfloat16", lambda: True)
    with build_mode.building("eval"):
        kinds = precision.variable_dtype()
    assert (kinds.master_dtype, kinds.slice_dtype) == (tf.float32, tf.float32)
    assert kinds.activation_dtype == tf.float32


@pytest.mark.parametrize("native, dtype", [(True, tf.bfloat16), (False, tf.float32)])
def test_auto_follows_the_hardware_in_training(monkeypatch, native, dtype):
    monkeypatch.setattr(precision, "hardware_has_bfloat16", lambda: native)
    with build_mode.building("train"):
        assert precision.variable_dtype().activation_dtype == dtype


def test_what_the_user_sets_holds_in_training_whatever_t5_binds():
    bind("precision.activation_dtype", "bfloat16")
    bind("utils.get_variable_dtype.activation_dtype", "float32")  # As t5's main does.
    with build_mode.building("train"):
        assert precision.variable_dtype().activation_dtype == tf.bfloat16


def test_another_type_is_refused():
    bind("precision.activation_dtype", "float16")
    with pytest.raises(UsageError, match="float16.*auto, float32, bfloat16"):
        precision.precision()


def test_cpu_flags_decide_without_a_gpu(monkeypatch):
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
    assert precision.hardware_has_bfloat16()
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset({"avx512f"}))
    assert not precision.hardware_has_bfloat16()


def test_a_cpu_needs_no_mesh():
    assert mesh.mesh_shape() == "" and mesh.mesh_devices() is None


def test_all_gpus_form_the_mesh(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a", "b", "c"])
    assert mesh.mesh_shape() == "batch:3"
    assert mesh.mesh_devices() == ["gpu:0", "gpu:1", "gpu:2"]


def test_the_settings_of_a_tpu_are_ignored_with_one_line(capsys):
    bind("utils.tpu_mesh_shape.tpu_topology", "2x2")
    assert mesh.mesh_shape() == ""
    assert "tpu_topology" in capsys.readouterr().err


def test_a_mesh_that_does_not_fit_its_devices_is_one_error():
    with pytest.raises(UsageError, match="'batch:2'.*2 processors.*1 devices"):
        mesh.check("batch:2", ["cpu:0"])
    mesh.check("batch:2", ["cpu:0", "cpu:0"])
    assert mesh.as_text(mtf.convert_to_shape("a:2,b:3")) == "a:2,b:3"


def test_devices_alone_form_a_mesh():
    bind("mesh_devices.devices", ["cpu:0", "cpu:0"])
    assert mesh.mesh_shape() == "batch:2"


def test_a_gpu_that_is_not_there_is_one_error():
    with pytest.raises(UsageError, match="'gpu:0'.*sees 0 GPUs"):
        mesh.check("batch:2", ["gpu:0", "gpu:1"])


def test_a_tpu_trains_in_bfloat16_whatever_its_host_is(monkeypatch):
    monkeypatch.setattr(precision, "hardware_has_bfloat16", lambda: False)
    with build_mode.building("train", for_tpu=True):
        assert precision.precision()[0] == tf.bfloat16
    with build_mode.building("eval", for_tpu=True):
        assert precision.precision()[0] == tf.float32
