"""Obsolete checkpoints of a run are deleted, and nothing else."""

import os

import pytest

from primer.checkpoints import checkpoint_files, checkpoint_state
from primer.checkpoints.retention import Retention
from tests.evaluation import small_checkpoints

FOREVER = 10_000.0  # TensorFlow's default of `keep_checkpoint_every_n_hours`.


def save(directory, *steps):
    return [small_checkpoints.save(directory, step, {"x": float(step)}) for step in steps]


def test_the_newest_are_kept_also_after_a_restart(tmp_path):
    directory = str(tmp_path)
    for path in save(directory, 1, 2, 3):
        Retention(directory, 2, FOREVER).add(path)
    assert checkpoint_files.whole_steps(directory) == [2, 3]
    assert not list(tmp_path.glob("model.ckpt-1*"))
    assert len(checkpoint_state.read(directory).paths) == 2
    keep_all = Retention(directory, 0, FOREVER)
    for path in save(directory, 4, 5, 3):
        keep_all.add(path)
    assert checkpoint_files.whole_steps(directory) == [2, 3, 4, 5]
    assert checkpoint_state.read(directory).latest == f"{directory}/model.ckpt-3"


@pytest.mark.parametrize("name, neighbour", [("s[3]", "s3"), ("copy", "original"), ("a?", "ab")])
def test_no_other_directory_is_touched(tmp_path, name, neighbour):
    """Neither by a pattern, nor by the absolute paths of a directory that was copied."""
    foreign, directory = str(tmp_path / neighbour), str(tmp_path / name)
    listed = save(foreign, 1, 2)
    (path,) = save(directory, 2)
    (tmp_path / name / "checkpoint").write_text(
        "".join(
            f'{key}: "{old}"\n'
            for key, old in [
                ("model_checkpoint_path", listed[1]),
                *(("all_model_checkpoint_paths", old) for old in listed),
            ]
        )
    )
    retention = Retention(directory, 1, FOREVER)
    (path,) = save(directory, 3)
    retention.add(path)
    assert checkpoint_files.whole_steps(directory) == [3]
    assert checkpoint_files.whole_steps(foreign) == [1, 2]


def test_one_in_so_many_hours_is_kept_for_good(tmp_path):
    directory = str(tmp_path)
    retention = Retention(directory, 1, every_hours=1.0)
    for step, hours in ((1, 0), (2, 1.5), (3, 1.6), (4, 3)):
        (path,) = save(directory, step)
        now = os.path.getmtime(f"{path}.index")
        os.utime(f"{path}.index", (now + hours * 3600,) * 2)
        retention.add(path)
    assert checkpoint_files.whole_steps(directory) == [2, 4]
