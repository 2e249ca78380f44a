"""`primer check --coordinates`: table, files, exit codes and errors before the long work."""

import json
import os

import pytest

from primer import cli

TINY = ["--architecture", "transformer", "--activation", "relu", "--size", "tiny"]
TINY += ["--gin_file", "optimizers/adamw.gin", "--gin_param", "learning_rate = 0.02"]
SHORT = ["--coordinates", "--widths", "16,64,256", "--coordinate_steps", "2"]
SHORT += ["--coordinate_seeds", "1", "--vocabulary_size", "97", "--gin_param", "num_layers = 1"]


def run(*words):
    """The exit code of `primer check words...`, in this process."""
    with pytest.raises(SystemExit) as end:
        cli.main(["check", *map(str, words)])
    return end.value.code


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_growth_is_information_without_a_base_width(folder, capsys):
    assert run(*TINY, *SHORT, "--output", folder / "out") == 0
    printed = capsys.readouterr().out
    assert "block_000/layer_001 DenseReluDense" in printed and "grows" in printed
    assert "Training does not carry over" in printed
    assert sorted(os.listdir(folder / "out")) == ["coordinates.json", "coordinates.png"]
    numbers = json.loads((folder / "out" / "coordinates.json").read_text())
    assert numbers["widths"] == [16, 64, 256]
    assert (numbers["base_width"], numbers["is_flat"]) == (None, False)
    feed_forward = next(o for o in numbers["outputs"] if o["part"] == "feed-forward")
    assert len(feed_forward["size"]) == 3 and len(feed_forward["size"][0]) == 3
    assert feed_forward["verdict"] == "grows"


def test_with_a_base_width_the_exit_code_says_whether_training_carries_over(folder, capsys):
    flat = [*TINY, *SHORT, "--gin_param", "base_width = 16", "--json"]
    assert run(*flat) == 0
    assert json.loads(capsys.readouterr().out)["is_flat"]
    # An epsilon above the gradients makes Adam's updates as small as these.
    vanishing = ["--gin_param", "AdamWOptimizer.epsilon = 1.0"]
    assert run(*flat, *vanishing, "--overwrite") == 1
    assert not json.loads((folder / "coordinates.json").read_text())["is_flat"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--widths", "64"], "--widths 64: expected two or more different values of d_model"),
        (["--widths", "a,b"], "--widths a,b: expected values of d_model with commas between"),
        (["--coordinate_steps", "0"], "--coordinate_steps = 0: expected a whole number of 1 or"),
        (["--coordinate_seeds", "0"], "--coordinate_seeds = 0: expected a whole number of 1 or"),
        (["--vocabulary_size", "0"], "--vocabulary_size = 0: expected a whole number of 1 or"),
    ],
)
def test_wrong_options_are_refused(folder, capsys, words, message):
    assert run(*TINY, *SHORT, *words) == 2
    assert message in capsys.readouterr().err
    assert os.listdir(folder) == []


@pytest.mark.parametrize("name", ["coordinates.png", "coordinates.json"])
def test_existing_files_need_overwrite(folder, capsys, name):
    (folder / name).write_text("mine")
    assert run(*TINY, *SHORT) == 2
    assert f"{name} is there already; name another file, or add --overwrite" in (
        capsys.readouterr().err
    )
    assert (folder / name).read_text() == "mine"


def test_other_options_need_coordinates(folder, capsys):
    assert run(*TINY, "--widths", "16,32") == 2
    assert "--widths needs --coordinates" in capsys.readouterr().err
