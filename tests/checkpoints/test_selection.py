"""Checkpoints are selected by word or step; a missing one is an error."""

import os

import pytest

from primer.checkpoints import selection
from primer.errors import UsageError


@pytest.fixture
def model_dir(tmp_path):
    for step in (0, 20, 100):
        for suffix in ("index", "data-00000-of-00001", "meta"):
            (tmp_path / f"model.ckpt-{step}.{suffix}").write_text("")
    (tmp_path / "model.ckpt-300.meta").write_text("")  # Left over, and not a checkpoint.
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "model.ckpt-40.index").write_text("")
    (tmp_path / "best" / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-40"\n')
    return str(tmp_path)


def names(model_dir, which):
    return [
        os.path.relpath(path, model_dir) for path in selection.select_checkpoints(model_dir, which)
    ]


def test_all_are_sorted_by_step_with_the_best_among_them(model_dir):
    expected = ["model.ckpt-0", "model.ckpt-20", "best/model.ckpt-40", "model.ckpt-100"]
    assert names(model_dir, "all") == expected


def test_latest_and_best_are_selected(model_dir):
    assert names(model_dir, "latest") == ["model.ckpt-100"]
    assert names(model_dir, "best") == ["best/model.ckpt-40"]


@pytest.mark.parametrize("which", ["100,20", [20, 100], "20, 100"])
def test_steps_are_selected(model_dir, which):
    assert names(model_dir, which) == ["model.ckpt-20", "model.ckpt-100"]


def test_a_missing_step_is_named_with_the_existing_ones(model_dir):
    with pytest.raises(UsageError, match="step 30 .* there are 0, 20, 40, 100"):
        selection.select_checkpoints(model_dir, "20,30")


@pytest.mark.parametrize("which", ["newest", "1,x", None])
def test_other_words_are_refused(model_dir, which):
    with pytest.raises(UsageError, match="expected all, latest, best, or steps"):
        selection.select_checkpoints(model_dir, which)


def test_a_directory_without_checkpoint_or_best_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="no checkpoint"):
        selection.select_checkpoints(str(tmp_path), "all")
    (tmp_path / "model.ckpt-1.index").write_text("")
    with pytest.raises(UsageError, match="--eval_every"):
        selection.select_checkpoints(str(tmp_path), "best")
