"""Waiting for the checkpoints of a run that is training."""

import itertools

import numpy as np
import pytest

from primer.checkpoints import checkpoint_files, model_directory, watcher
from tests.evaluation import small_checkpoints


@pytest.fixture
def directory(tmp_path):
    save(tmp_path, 1)
    return tmp_path


def save(directory, step):
    small_checkpoints.save(directory, step, {"x": np.float32(step)})


def steps(directory, **settings):
    first = [path for _, path in sorted(checkpoint_files.list_checkpoints(str(directory)).items())]
    found = watcher.watch_checkpoints(str(directory), first, poll=0.01, **settings)
    return (int(path.rsplit("-", 1)[1]) for path in found)


def test_new_checkpoints_are_yielded_in_order_until_the_goal(directory):
    found = steps(directory, goal=4)
    assert next(found) == 1
    save(directory, 3)
    save(directory, 2)
    assert next(found) == 2
    save(directory, 4)
    assert list(found) == [3, 4]


def test_the_watching_ends_at_the_goal(directory):
    assert list(steps(directory, goal=1)) == [1]


def test_the_watching_ends_where_the_run_stopped_early(directory, capsys):
    found = steps(directory, goal=100)
    assert next(found) == 1
    save(directory, 3)
    model_directory.record_early_end(str(directory), 3)
    assert list(found) == [3]
    assert capsys.readouterr().err.endswith("stopped early at step 3\n")


def test_the_watching_ends_after_the_timeout(directory, capsys):
    assert list(steps(directory, goal=100, timeout=0.1)) == [1]
    error = capsys.readouterr().err
    assert "until step 100" in error and "for 0.1 s" in error


def test_a_checkpoint_without_its_index_is_not_yielded(directory):
    found = steps(directory, goal=2, timeout=5)
    assert next(found) == 1
    save(directory, 2)
    (data,) = directory.glob("model.ckpt-2.data-*")
    index = directory / "model.ckpt-2.index"
    hidden = index.rename(directory / "hidden")
    assert list(itertools.islice(steps(directory, timeout=0.05), 9))[-1] == 1  # Not step 2.
    hidden.rename(index)
    assert data.exists() and next(found) == 2


def test_a_checkpoint_deleted_since_the_listing_is_yielded(directory):
    found = steps(directory, goal=3)
    assert next(found) == 1
    save(directory, 2)
    save(directory, 3)
    assert next(found) == 2
    for path in directory.glob("model.ckpt-3.*"):
        path.unlink()
    assert list(found) == [3]
