"""`primer train`: the run that its options describe, misuse, and training on a small model."""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys

import pytest

import primer
from primer.checkpoints import model_directory
from primer.commands import train
from primer.launch.train import ModelChoice, TrainingRun
from tests.command_lines import ENGINE, run
from tests.tiny_text import train_words


@pytest.fixture
def trained(small_run, tmp_path):
    """A copy of a directory with checkpoints 0, 3 and 6, and the best of 3 and 6."""
    return shutil.copytree(small_run, tmp_path / "model")


def test_options_describe_a_run_of_training():
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    words = (
        "--model small_primer --task sotu --model_dir m --steps 7 --gin_param a=1 --gin_param b=2"
    )
    assert train.training_run(parser.parse_args(words.split())) == TrainingRun(
        ModelChoice("small_primer"),
        "m",
        task="sotu",
        steps=7,
        gin_file=[],
        gin_param=["a=1", "b=2"],
        module_import=[],
        skip=[],
        keep_step=False,
        trust=[],
    )


@pytest.mark.parametrize(
    "words, messages",
    [
        (["--model", "small_primr", "--task", "sotu"], ["small_primr", "small_{"]),
        (["--model", "small_primer", "--task", "sotuu"], ["sotuu", "lm1b", "text"]),
        (["--task", "sotu"], ["--architecture", "medium_{", "gpt2_{124m,"]),
        (["--model", "small_primer"], ["--task", "--data", "primer data prepare", "wikitext2"]),
        (["--model", "small_primer", "--size", "tiny", "--task", "sotu"], ["one or the other"]),
        (["--architecture", "primer", "--task", "sotu"], ["all of --architecture"]),
        (["--model", "nowhere.gin", "--task", "sotu"], ["nowhere.gin", "no such file"]),
        (["--model", "small_primer", "--task", "sotu", "--steps", "0"], ["--steps = 0"]),
        (
            ["--model", "small_primer", "--task", "sotu", "--gin_file", "nowhere.gin"],
            ["--gin_file nowhere.gin", "no such file"],
        ),
    ],
)
def test_misuse_of_train_is_one_line(words, messages, tmp_path, capsys):
    assert run("train", "--model_dir", tmp_path / "new", *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("primer: ") and len(error.splitlines()) == 1
    assert all(message in error for message in messages)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "binding, message",
    [
        ("dropout_rat = 0.1", "did you mean dropout_rate?"),
        ("text_files.globb = 'x'", "globb"),
        ("dropout_rate", "gin cannot take these settings"),
    ],
)
def test_a_misspelled_binding_is_one_line(binding, message, small_texts, tmp_path, capfd):
    assert run(*train_words(small_texts, tmp_path, "--gin_param", binding)) == 2
    error = capfd.readouterr().err.split("\n\n", 1)[1]
    (line,) = [line for line in error.splitlines() if line.startswith("primer: ")]
    assert message in line and "Traceback" not in error


def test_training_validates_and_keeps_the_best(trained):
    names = os.listdir(trained)
    assert {"model.ckpt-3.index", "model.ckpt-6.index", "train.log", "config.gin"} <= set(names)
    best = json.loads((trained / "best" / "best.json").read_text())
    assert best["step"] in (3, 6) and 0 < best["nats_per_token"] < 6
    assert "Whole validation split" in best["how"]
    kept = set(os.listdir(trained / "best"))
    assert {"primer.json", "config.gin", f"model.ckpt-{best['step']}.index"} <= kept


def test_the_same_training_command_goes_on_from_its_checkpoint(trained, small_texts, capfd):
    assert run(*train_words(small_texts, trained, "--steps", 6, "--seed", 5)) == 0
    assert "nothing to do" in capfd.readouterr().err


def eval_rows(model_dir):
    (path,) = (model_dir / "eval").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_validation_that_a_kill_prevented_is_done_on_resuming(trained, small_texts, capfd):
    """Step 6 is saved and has no row: first its validation, then nothing to train."""
    shutil.rmtree(trained / "best")
    words = train_words(small_texts, trained, "--steps", 6, "--seed", 5, "--eval_every", 3)
    assert run(*words) == 0
    error = capfd.readouterr().err
    assert error.index("step 6  validation ") < error.index("nothing to do")
    assert [row["step"] for row in eval_rows(trained)] == [6]
    assert json.loads((trained / "best" / "best.json").read_text())["step"] == 6
    assert run(*words) == 0
    assert "step 6  validation " not in capfd.readouterr().err


def test_eval_finds_what_training_measured(trained, small_texts, capfd):
    words = ("--steps", 8, "--seed", 5, "--eval_every", 3)
    assert run(*train_words(small_texts, trained, *words)) == 0
    measured = eval_rows(trained)
    assert [row["step"] for row in measured] == [6, 8]
    assert run("eval", "--model_dir", trained, "--checkpoints", "6,8") == 0
    assert "2 of 2 results were known" in capfd.readouterr().err
    assert eval_rows(trained) == measured
    assert run("eval", "--model_dir", trained, "--checkpoints", "8", "--again") == 0
    again = eval_rows(trained)[-1]
    assert measured[-1] | {"evaluation_seconds": again["evaluation_seconds"]} == again


def test_another_architecture_is_refused(trained, small_texts, capsys):
    words = train_words(small_texts, trained, "--steps", 9)
    words[words.index("primer_ez")] = "primer"
    assert run(*words) == 2
    assert "another" in capsys.readouterr().err


@pytest.mark.slow
def test_the_printed_command_runs_in_a_shell(trained, small_texts, capsys):
    """The printed text is copied, with the engine named by its module, and run."""
    assert run(*train_words(small_texts, trained, "--steps", 6)) == 0
    error = capsys.readouterr().err
    printed = error[error.index("t5_mesh_transformer") :].split("\n\n")[0]
    engine = f"{shlex.quote(sys.executable)} -c {shlex.quote(ENGINE)}"
    done = subprocess.run(
        printed.replace("t5_mesh_transformer", engine, 1),
        shell=True,
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(primer.__file__))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stderr


def test_training_ends_early_and_goes_on_with_more_patience(small_texts, tmp_path, capfd):
    """Without a learning rate, all validations have the loss of the first, at step 2."""
    model_dir = tmp_path / "model"
    still = ("--gin_param", "utils.run.learning_rate_schedule = 0.0", "--eval_every", 2)
    words = train_words(small_texts, model_dir, "--steps", 12, *still)

    def last_message(patience):
        assert run(*words, "--early_stop", patience) == 0
        return capfd.readouterr().err.splitlines()[-1]

    ended = last_message(2)
    nats = json.loads((model_dir / "best" / "best.json").read_text())["nats_per_token"]
    reason = (
        f"no better validation loss in 2 validations; the best is {nats:.4f} nats per token at "
        f"step 2, in {model_dir}/best"
    )
    assert ended == f"Stopped early at step 6 of 12: {reason}"
    assert [row["step"] for row in eval_rows(model_dir)] == [2, 4, 6]
    assert model_directory.early_end(str(model_dir)) == 6

    saved = {path: path.stat().st_mtime_ns for path in model_dir.glob("**/*.ckpt*")}
    assert model_dir / "model.ckpt-6.index" in saved
    assert last_message(2) == (
        f"{model_dir} is at step 6 of 12 and had stopped early: {reason}. Nothing to do; an "
        "--early_stop above 2 trains on."
    )
    assert {path: path.stat().st_mtime_ns for path in model_dir.glob("**/*.ckpt*")} == saved

    assert last_message(3).startswith("Stopped early at step 8 of 12: no better validation loss")
    assert [row["step"] for row in eval_rows(model_dir)] == [2, 4, 6, 8]
    assert model_directory.early_end(str(model_dir)) == 8
    assert run(*words) == 0
    assert model_directory.early_end(str(model_dir)) is None


def test_an_early_stop_without_validation_is_refused_before_the_work(small_texts, tmp_path, capfd):
    model_dir = tmp_path / "model"
    assert run(*train_words(small_texts, model_dir, "--early_stop", 3)) == 2
    error = capfd.readouterr().err
    (line,) = [line for line in error.splitlines() if line.startswith("primer: ")]
    assert "--early_stop" in line and "set --eval_every" in line and "resuming" not in error
    assert not model_dir.exists() or not list(model_dir.glob("model.ckpt*"))


def test_the_optimizer_and_schedule_train_and_remarks_come_before_the_work(
    small_texts, tmp_path, capfd
):
    options = ("--optimizer", "adamw", "--schedule", "linear", "--learning_rate", "0.25")
    options += ("--gin_param", "decay_steps = 2", "--steps", 3)
    assert run(*train_words(small_texts, tmp_path / "model", *options)) == 0
    error = capfd.readouterr().err
    remark = "decay_steps = 2: the learning rate has its final value from step 2"
    assert error.count(remark) == 1 and error.index(remark) < error.index("step 3/3")
    config = (tmp_path / "model" / "config.gin").read_text()
    for line in ("learning_rate = 0.25", "decay_steps = 2", "schedule = @linear_schedule"):
        assert f"\n{line}\n" in config, config
