"""Rebuilds the Mesh-TensorFlow model from the settings of a model directory."""

import gin
import pytest

from primer import saved_model
from primer.errors import UsageError
from tests import golden_model


@pytest.fixture
def model_dir(tmp_path):
    return golden_model.unpack(tmp_path)


def settings_of(model_dir):
    return saved_model.settings_of(str(model_dir), str(model_dir / "config.gin"))


def test_the_model_has_the_sizes_task_and_vocabulary_of_the_settings(model_dir):
    with settings_of(model_dir):
        saved = saved_model.build(str(model_dir))
    assert saved.model.fully_autoregressive and saved.model.model_dim.size == 16
    assert saved.model.output_vocab_size_unpadded == saved.vocabulary.vocab_size == 259
    assert (saved.task_name, saved.length) == ("text", 32)
    mesh_shape, layout_rules, mesh_devices = saved.mesh
    assert mesh_shape == "" and "d_ff:model" in layout_rules and mesh_devices is None


def test_the_settings_apply_only_within_the_block(model_dir):
    gin.bind_parameter("task_vocabulary.name", "sotu")
    with settings_of(model_dir):
        assert gin.query_parameter("task_vocabulary.name") == "bytes"
        assert gin.query_parameter("text_files.held_out") == 0.2
    assert gin.query_parameter("task_vocabulary.name") == "sotu"
    with pytest.raises(ValueError):
        gin.query_parameter("text_files.held_out")


def test_settings_of_another_vocabulary_than_the_checkpoints_are_refused(model_dir):
    config = model_dir / "config.gin"
    assert "'bytes'" in config.read_text()
    config.write_text(config.read_text().replace("'bytes'", "'sotu'"))
    with pytest.raises(UsageError), settings_of(model_dir):
        saved_model.build(str(model_dir))
