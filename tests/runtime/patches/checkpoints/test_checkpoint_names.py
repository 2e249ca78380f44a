"""TensorFlow, Mesh-TensorFlow and t5 list the checkpoints of a directory by its literal name."""

import os
import shutil

import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import utils
from t5.models import utils as t5_utils

from primer.checkpoints import checkpoint_state
from tests.evaluation import small_checkpoints


@pytest.fixture(params=["s[3]", "s?", "plain"])
def directory(request, tmp_path):
    small_checkpoints.save(tmp_path / "s3", 9, {"x": 1.0})
    made = str(tmp_path / request.param)
    checkpoint_state.write(
        made, [small_checkpoints.save(made, step, {"x": 1.0}) for step in (2, 4, 6)]
    )
    return made


@pytest.mark.parametrize(
    "requested, steps", [("all", [2, 4, 6]), (-1, [6]), (3, [2]), ([2, 6], [2, 6])]
)
def test_mesh_tensorflow_finds_the_directorys_own(directory, requested, steps):
    found = list(utils.get_checkpoint_iterator(requested, directory))
    assert found == [f"{directory}/model.ckpt-{step}" for step in steps]
    assert set(t5_utils.get_checkpoints_iterator(requested, directory)) == set(steps)
    assert next(iter(utils.get_checkpoint_iterator(None, directory))).endswith("/model.ckpt-6")


def test_tensorflow_does_not_leave_the_directory(tmp_path):
    """The file `checkpoint` of a copy has the absolute paths that TensorFlow writes."""
    original, copy = str(tmp_path / "original"), str(tmp_path / "copy")
    path = small_checkpoints.save(original, 3, {"x": 1.0})
    tf.train.update_checkpoint_state(original, path)
    shutil.copytree(original, copy)
    assert tf.train.latest_checkpoint(copy) == os.path.join(copy, "model.ckpt-3")
    assert list(utils.get_checkpoint_iterator(-1, copy)) == [os.path.join(copy, "model.ckpt-3")]
