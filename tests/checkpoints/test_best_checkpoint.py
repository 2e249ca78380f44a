"""The best checkpoint of a run in `model_dir/best`."""

import numpy as np
import pytest
import tensorflow as tf

from primer.checkpoints import best_checkpoint, checkpoint_files
from tests.evaluation import small_checkpoints


@pytest.fixture
def model_dir(tmp_path):
    for step in (1, 2):
        small_checkpoints.save(tmp_path, step, {"x": np.float32(step)})
    for name in ("config.gin", "primer.json", "vocabulary.txt"):
        (tmp_path / name).write_text(name)
    return tmp_path


def store(model_dir, step, nats):
    source = f"{model_dir}/model.ckpt-{step}"
    best_checkpoint.store(str(model_dir), source, {"step": step, "nats_per_token": nats})


def test_without_one_there_is_no_result(tmp_path):
    assert best_checkpoint.read_result(str(tmp_path)) is None


def test_a_better_one_replaces_it_with_the_files_that_its_use_needs(model_dir):
    store(model_dir, 1, 3.0)
    store(model_dir, 2, 2.5)
    best = best_checkpoint.directory(str(model_dir))
    assert checkpoint_files.list_checkpoints(best) == {2: f"{best}/model.ckpt-2"}
    assert small_checkpoints.load(tf.train.latest_checkpoint(best))["x"] == 2
    assert best_checkpoint.read_result(str(model_dir)) == {"step": 2, "nats_per_token": 2.5}
    for name in ("config.gin", "primer.json", "vocabulary.txt"):
        assert (model_dir / "best" / name).read_text() == name


def test_the_result_of_the_stored_one_can_change(model_dir):
    store(model_dir, 1, 3.0)
    best = model_dir / "best"
    source = str(best / "model.ckpt-1")
    best_checkpoint.store(str(model_dir), source, {"step": 1, "nats_per_token": 2.0})
    assert best_checkpoint.read_result(str(model_dir))["nats_per_token"] == 2.0
    assert small_checkpoints.load(source)["x"] == 1
