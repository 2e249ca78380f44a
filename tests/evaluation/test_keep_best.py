"""Keeping the best evaluated checkpoint in `model_dir/best`."""

import math

import gin
import numpy as np
import pytest

from primer.checkpoints import best_checkpoint, directory_lock
from primer.errors import RunError, UsageError
from primer.evaluation import keep_best
from tests.evaluation import small_checkpoints


def test_the_directory_of_a_training_that_keeps_its_best_is_refused(tmp_path):
    gin.parse_config("validation.every = 3")
    with directory_lock.held(str(tmp_path)):
        with pytest.raises(UsageError, match="in use"):
            keep_best.BestCheckpointKeeper(str(tmp_path))
    keep_best.BestCheckpointKeeper(str(tmp_path))


@pytest.fixture
def run_dir(tmp_path):
    for step in (1, 2, 3):
        small_checkpoints.save(tmp_path, step, {"x": np.float32(step)})
    return tmp_path


def row(step, nats):
    return {"step": step, "nats_per_token": nats, "bits_per_byte": math.nan}


def test_the_lowest_finite_loss_is_kept(run_dir):
    keeper = keep_best.BestCheckpointKeeper(str(run_dir))
    for step, nats, kept in [
        (1, math.nan, None),
        (2, 5.0, 2),
        (3, 6.0, 2),
        (1, 5.0, 2),
        (3, 4.0, 3),
    ]:
        keeper.consider(f"{run_dir}/model.ckpt-{step}", row(step, nats))
        record = best_checkpoint.read_result(str(run_dir))
        assert (record and record["step"]) == kept
    assert record == {"step": 3, "nats_per_token": 4.0}
    (index,) = (run_dir / "best").glob("*.index")
    assert small_checkpoints.load(str(index).removesuffix(".index")) == {"x": 3.0}


def test_the_kept_checkpoint_is_evaluated_first(run_dir):
    paths = [f"{run_dir}/model.ckpt-{step}" for step in (1, 2, 3)]
    assert keep_best.kept_first(str(run_dir), paths) == paths
    keep_best.BestCheckpointKeeper(str(run_dir)).consider(paths[1], row(2, 5.0))
    assert keep_best.kept_first(str(run_dir), paths) == [paths[1], paths[0], paths[2]]
    kept = f"{run_dir}/best/model.ckpt-2"
    assert keep_best.kept_first(str(run_dir), paths[2:]) == [kept, paths[2]]


def test_a_checkpoint_that_cannot_be_copied_is_named(run_dir):
    (run_dir / "best").write_text("a file where the folder should be")
    with pytest.raises(RunError, match="model.ckpt-2 cannot be copied"):
        keep_best.BestCheckpointKeeper(str(run_dir)).consider(
            f"{run_dir}/model.ckpt-2", row(2, 5.0)
        )
