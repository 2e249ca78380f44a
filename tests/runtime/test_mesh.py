"""The mesh of a machine without a TPU."""

import gin
import mesh_tensorflow as mtf
import mesh_tensorflow.transformer.utils  # noqa: F401  (registers tpu_mesh_shape with gin)
import pytest
import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.runtime import mesh


def bind(name, value):
    with gin.unlock_config():
        gin.bind_parameter(name, value)


def test_a_single_cpu_needs_no_mesh():
    assert mesh.mesh_shape() == "" and mesh.mesh_devices() is None


def test_all_gpus_form_the_mesh(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a", "b", "c"])
    assert mesh.mesh_shape() == "batch:3"
    assert mesh.mesh_devices() == ["gpu:0", "gpu:1", "gpu:2"]


def test_ignored_tpu_settings_are_reported(capsys):
    bind("utils.tpu_mesh_shape.tpu_topology", "2x2")
    assert mesh.mesh_shape() == ""
    assert "tpu_topology" in capsys.readouterr().err


def test_default_tpu_settings_are_not_reported(capsys):
    bind("utils.tpu_mesh_shape.model_parallelism", 1)
    assert mesh.mesh_shape() == ""
    assert capsys.readouterr().err == ""


def test_the_numbers_of_processors_and_devices_have_to_be_equal():
    with pytest.raises(UsageError, match="'batch:2'.*2 processors.*1 devices"):
        mesh.check_devices("batch:2", ["cpu:0"])
    mesh.check_devices("batch:2", ["cpu:0", "cpu:0"])


def test_a_missing_gpu_is_an_error():
    with pytest.raises(UsageError, match="'gpu:0'.*sees 0 GPUs"):
        mesh.check_devices("batch:2", ["gpu:0", "gpu:1"])


def test_devices_without_a_shape_form_a_batch_mesh():
    bind("mesh_devices.devices", ["cpu:0", "cpu:0"])
    assert mesh.mesh_shape() == "batch:2"


def test_shape_as_text_inverts_mesh_tensorflows_parser():
    assert mesh.shape_as_text(mtf.convert_to_shape("a:2,b:3")) == "a:2,b:3"


@pytest.mark.parametrize(
    "layout, parts", [("", 1), ("batch:rows", 4), ("outer_batch:model,batch:rows", 12)]
)
def test_rows_are_divided_over_both_batch_dimensions(layout, parts):
    shape = mtf.convert_to_shape("rows:4,model:3")
    assert mesh.rows_divisor(shape, mtf.convert_to_layout_rules(layout)) == parts
