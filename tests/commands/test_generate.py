"""`primer generate`, on a model that is trained in a few seconds."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import primer
from tests import tiny_text
from tests.command_lines import run
from tests.evaluation import small_checkpoints


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory with checkpoints 0, 20 and 40 of a model of 32 bytes."""
    texts = tiny_text.write(tmp_path_factory.mktemp("texts"))
    words = ("--steps", 40, "--seed", 5, "--gin_param", "run.save_checkpoints_steps = 20")
    assert run(*tiny_text.train_words(texts, texts / "model", *words)) == 0
    return texts / "model"


@pytest.fixture
def generate(trained, capfd):
    """A function (words, code) that runs the command: what it printed, what it said."""

    def call(*words, code=0):
        capfd.readouterr()
        assert run("generate", "--model_dir", trained, *words) == code
        return capfd.readouterr()

    return call


def text_of(printed):
    """What follows the line with the engine's command."""
    return printed.out.split("\n\n", 1)[-1]


def rows_of(printed):
    return [json.loads(line) for line in printed.out.splitlines() if line.startswith("{")]


def test_the_prompt_and_its_continuation_are_printed(generate):
    printed = generate("--prompt", "7 times", "--max_tokens", 12, "--seed", 3)
    assert "7 times" in printed.out
    assert "12 tokens, the first after" in printed.err and "step 40, seed 3" in printed.err


def test_the_same_seed_gives_the_same_text(generate):
    words = ("--prompt", "7 times", "--max_tokens", 12, "--json")
    first, again, other = (
        rows_of(generate(*words, "--seed", seed))[0]["text"] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_without_a_seed_one_is_drawn_and_printed(generate):
    words = ("--prompt", "7 times", "--max_tokens", 12, "--json")
    (first,) = rows_of(generate(*words))
    (again,) = rows_of(generate(*words, "--seed", first["seed"]))
    assert first == again


def test_json_has_all_samples_of_all_prompts(generate, tmp_path):
    (tmp_path / "prompts").write_text("2 times\n3 times\n")
    words = ("--prompt", "1 times", "--prompt_file", tmp_path / "prompts", "--num_samples", 2)
    rows = rows_of(generate(*words, "--max_tokens", 5, "--json", "--seed", 3))
    found = sorted((row["prompt"], row["sample"]) for row in rows)
    assert found == [(f"{n} times", s) for n in (1, 2, 3) for s in (0, 1)]
    assert all(row["reason"] in ("length", "end") and row["step"] == 40 for row in rows)
    assert all(1 <= row["tokens"] <= 5 for row in rows)


def test_several_texts_have_headings(generate):
    printed = generate("--prompt", "1", "--prompt", "2", "--max_tokens", 3, "--seed", 0)
    assert "--- prompt 1, sample 1\n1" in printed.out and "--- prompt 2, sample 1\n2" in printed.out


def test_a_stop_string_ends_the_text_and_is_not_shown(generate):
    words = ("--prompt", "7 times", "--max_tokens", 30, "--seed", 3, "--json")
    (whole,) = rows_of(generate(*words))
    stop = whole["text"][4:6]
    (row,) = rows_of(generate(*words, "--stop", stop))
    assert row["reason"] == "stop"
    assert row["text"] == whole["text"][: whole["text"].index(stop)]


def test_an_earlier_checkpoint(generate):
    (row,) = rows_of(generate("--checkpoint", 20, "--max_tokens", 2, "--json"))
    assert row["step"] == 20


def test_weights_that_are_nan_give_no_text(trained, tmp_path, capfd):
    model_dir = shutil.copytree(trained, tmp_path / "model")
    values = small_checkpoints.load(model_dir / "model.ckpt-40")
    name = next(name for name in sorted(values) if name.endswith("kernel"))
    values[name] = np.full_like(values[name], np.nan)
    for path in model_dir.glob("model.ckpt-40.*"):
        path.unlink()
    small_checkpoints.save(model_dir, 40, values)
    assert run("generate", "--model_dir", model_dir, "--prompt", "7") == 1
    printed = capfd.readouterr()
    assert f"{name} is NaN or infinite" in printed.err and "name step 20" in printed.err
    assert "tokens, the first after" not in printed.err


def test_an_empty_prompt_begins_a_document(generate):
    (row,) = rows_of(generate("--prompt", "", "--max_tokens", 4, "--seed", 1, "--json"))
    (none,) = rows_of(generate("--max_tokens", 4, "--seed", 1, "--json"))
    assert row == none and row["tokens"]


def test_a_prompt_longer_than_the_model_is_reported(generate):
    printed = generate("--prompt", "7 times 8 is 56.\n" * 4, "--max_tokens", 8, "--seed", 1)
    assert "a prompt of 68 tokens, and the model reads 32 at a time" in printed.err


def test_a_text_longer_than_the_model_continues(generate):
    printed = generate("--prompt", "7", "--max_tokens", 70, "--seed", 1, "--json")
    assert "goes on from the last 16" in printed.err
    (row,) = rows_of(printed)
    assert row["tokens"] == 70 or row["reason"] == "end"


@pytest.mark.parametrize(
    "words, messages",
    [
        (["--max_tokens", "0"], ["max_tokens = 0", "1 or more"]),
        (["--num_samples", "0"], ["num_samples = 0", "1 or more"]),
        (["--temperature", "-1"], ["temperature = -1.0"]),
        (["--top_k", "0"], ["top_k = 0"]),
        (["--top_p", "1.5"], ["top_p = 1.5"]),
        (["--seed", "-3"], ["seed = -3"]),
        (["--stop", ""], ["stop = ''"]),
        (["--prompt_file", "nowhere.txt"], ["nowhere.txt", "no such file"]),
        (["--checkpoint", "7"], ["no checkpoint of step 7", "0, 20, 40"]),
        (["--prompt", "caf\udce9"], ["is not UTF-8 text"]),
    ],
)
def test_invalid_options_are_one_error_line(words, messages, generate):
    error = generate(*words, code=2).err
    (line,) = [line for line in error.splitlines() if line.startswith("primer: ")]
    assert all(message in line for message in messages) and "Traceback" not in error


def test_a_directory_without_a_model_is_one_line(tmp_path, capsys):
    assert run("generate", "--model_dir", tmp_path) == 2
    error = capsys.readouterr().err
    assert "config.gin" in error and len(error.splitlines()) == 1


@pytest.mark.slow
def test_no_other_library_prints_on_the_terminal(trained):
    words = ["generate", "--model_dir", trained, "--prompt", "7 times", "--max_tokens", "5"]
    root = os.path.dirname(os.path.dirname(primer.__file__))
    done = subprocess.run(
        [sys.executable, "-m", "primer", *map(str, words), "--temperature", "0"],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("7 times")
    command, said = done.stderr.split("\n\n", 1)
    assert command.startswith("t5_mesh_transformer")
    assert said.count("\n") == 1 and "tokens, the first after" in said
