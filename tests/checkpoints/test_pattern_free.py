"""Checkpoints are found and read in directories whose names look like patterns."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.checkpoints import (
    averaging,
    best_checkpoint,
    checkpoint_files,
    model_directory,
    pattern_free,
    restoring,
    selection,
)
from primer.errors import UsageError
from tests.evaluation import small_checkpoints

NAMES = ("lr[0.1]", "s[3]", "what?", "a*", "back\\slash")


@pytest.fixture(params=NAMES)
def directory(request, tmp_path):
    """A directory of steps 1 and 2, beside one that its name matches as a pattern."""
    for neighbour in ("lr0", "s3", "whatX", "ab"):
        small_checkpoints.save(tmp_path / neighbour, 9, {"x": np.float32(9)})
    made = tmp_path / request.param
    for step in (1, 2):
        small_checkpoints.save(made, step, {"x": np.float32(step)})
    model_directory.write_record(str(made), {"variables": {"weights": ["x"], "optimizer": []}})
    return str(made)


def test_a_directory_is_listed_and_its_checkpoints_are_read(directory):
    assert checkpoint_files.whole_steps(directory) == [1, 2]
    latest = checkpoint_files.latest_checkpoint(directory)
    assert latest == f"{directory}/model.ckpt-2"
    assert selection.select_checkpoints(directory) == [f"{directory}/model.ckpt-1", latest]
    assert checkpoint_files.open_reader(latest).get_tensor("x") == 2
    with tf.Graph().as_default(), tf.Session() as sess:
        variable = tf.get_variable("x", [])
        restoring.Restore([variable])(sess, latest)
        assert sess.run(variable) == 2


def test_its_best_and_its_averages_are_its_own(directory, tmp_path):
    best_checkpoint.store(directory, f"{directory}/model.ckpt-2", {"step": 2})
    assert selection.select_checkpoint(directory, "best") == f"{directory}/best/model.ckpt-2"
    best_checkpoint.store(directory, f"{directory}/model.ckpt-1", {"step": 1})
    assert checkpoint_files.whole_steps(f"{directory}/best") == [1]
    names = [path.name for path in (tmp_path / directory / "best").iterdir()]
    assert {"primer.json", "config.gin"} <= set(names)
    output = str(tmp_path / "mean[1]")
    averaging.write_averages(directory, [selection.select_checkpoints(directory)], output)
    mean = checkpoint_files.latest_checkpoint(output)
    assert checkpoint_files.open_reader(mean).get_tensor("x") == 1.5


def test_a_remote_directory_of_such_a_name_is_refused():
    assert pattern_free.readable("gs://runs/a/model.ckpt-1") == "gs://runs/a/model.ckpt-1"
    with pytest.raises(UsageError, match=r"gs://runs/a\[1\] has one of the characters"):
        pattern_free.readable("gs://runs/a[1]/model.ckpt-1")
