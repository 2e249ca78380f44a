"""Checks that the checkpoints of `utils.run.eval_checkpoint_step` exist."""

import shutil

import pytest

from tests.runtime import tiny


def evaluate(model_dir, step):
    tiny.run(
        model_dir,
        "utils.run.dataset_split = 'validation'",
        "utils.run.mode = 'perplexity_eval'",
        f"utils.run.eval_checkpoint_step = {step!r}",
        "utils.run.perplexity_eval_steps = 2",
    )


@pytest.mark.parametrize("step", ["all", 6, [3, 6]])
def test_an_evaluation_without_a_checkpoint_ends_with_one_line(tmp_path, step, capsys):
    with pytest.raises(SystemExit) as ended:
        evaluate(tmp_path / "none", step)
    assert ended.value.code == 2
    assert "/none' has no checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_all_leaves_out_step_0(trained, tmp_path, capsys):
    for path in trained.glob("model.ckpt-0.*"):
        shutil.copy(path, tmp_path)
    with pytest.raises(SystemExit):
        evaluate(tmp_path, "all")
    assert "only the checkpoint of step 0" in capsys.readouterr().err


def test_the_use_of_the_nearest_checkpoint_is_reported(trained, capsys):
    evaluate(trained, 5)
    said = capsys.readouterr().err
    assert "no checkpoint of step 5, and the nearest is used instead; there are 0, 3, 6" in said
