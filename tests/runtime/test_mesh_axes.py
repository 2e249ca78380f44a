"""Meshes of two axes, as the files of gin/meshes/ ask for them."""

import gin
import mesh_tensorflow as mtf
import pytest
import tensorflow.compat.v1 as tf
from absl import flags
from mesh_tensorflow.transformer import utils

from primer.errors import UsageError
from primer.gin_config import config_files, values
from primer.runtime import mesh
from tests import gin_models


def shape_of(name, *bindings):
    path = config_files.gin_file("meshes", name)
    gin_models.parse([config_files.MODEL_DEFAULTS, path], bindings)
    return values.configured("utils.run.mesh_shape")


@pytest.mark.parametrize(
    "name, bindings, shape",
    [
        ("two_dimensional_2x2", [], "rows:2,columns:2"),
        ("two_dimensional", ["mesh_rows = 8", "mesh_columns = 16"], "rows:8,columns:16"),
        ("one_dimensional", ["mesh_rows = 2", "mesh_columns = 4"], "batch:2,model:4"),
        (
            "two_dimensional",
            ["mesh_columns = 2"],
            "rows:1,columns:2",
        ),  # One processor computes all.
    ],
)
def test_presets(name, bindings, shape):
    assert shape_of(name, *bindings) == shape


def test_as_many_rows_as_devices_allow(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list("abcdef"))
    assert shape_of("two_dimensional", "mesh_columns = 2") == "rows:3,columns:2"
    with pytest.raises(UsageError, match="mesh_columns = 4: the 6 devices do not make rows of 4"):
        mesh.mesh_axes(columns=4)


def test_columns_of_a_tpu_are_tiles_of_its_topology():
    shape_of("tpu_two_dimensional")
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    assert utils.tpu_mesh_shape(tpu_topology="4x4") == mtf.convert_to_shape("rows:4,columns:8")
    assert "d_model_weight:rows" in gin.query_parameter("utils.run.layout_rules")


@pytest.mark.parametrize(
    "sizes, message",
    [({"rows": 0}, "mesh_rows = 0"), ({"columns": "2"}, "mesh_columns = '2'")],
)
def test_wrong_sizes(sizes, message):
    with pytest.raises(UsageError, match=message):
        mesh.mesh_axes(**sizes)


def test_rows_are_not_known_before_a_tpu_is(monkeypatch):
    monkeypatch.setattr(mesh, "_tpu_flag", lambda: "a TPU")
    with pytest.raises(UsageError, match="mesh_rows is not set, and with --tpu"):
        mesh.mesh_axes(columns=8)
