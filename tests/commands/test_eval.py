"""`primer eval` on several directories and on a run that is still training."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import primer
from primer.checkpoints import best_checkpoint
from primer.evaluation import evaluate as whole_split
from primer.evaluation import tokenized_split
from primer.evaluation.paired import document_sums
from tests import tiny_text
from tests.command_lines import run
from tests.tiny_text import train_words


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return tiny_text.write(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def trained(texts):
    """A directory with checkpoints 0, 3 and 6."""
    assert run(*train_words(texts, texts / "model", "--steps", 6, "--seed", 5)) == 0
    return texts / "model"


@pytest.fixture(scope="module")
def wide(texts):
    """A directory with checkpoints 0 and 1 of another architecture."""
    words = train_words(texts, texts / "wide", "--steps", 1, "--gin_param", "d_ff = 48")
    assert run(*words) == 0
    return texts / "wide"


@pytest.fixture
def model_dir(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def evaluate(*words, code=0):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert run("eval", *words) == code
    return out.getvalue()


def lines(model_dir):
    (path,) = (model_dir / "eval").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def change(model_dir, before, after):
    """Exchanges a text in what a directory says of its model."""
    config = model_dir / "config.gin"
    assert before in config.read_text()
    config.write_text(config.read_text().replace(before, after))


class Calls:
    """Counts the calls of an attribute."""

    def __init__(self, monkeypatch, owner, name):
        self.number, self._real = 0, getattr(owner, name)
        monkeypatch.setattr(owner, name, self)

    def __call__(self, *args, **kwargs):
        self.number += 1
        return self._real(*args, **kwargs)


def test_two_directories_share_text_and_graph(model_dir, tmp_path, monkeypatch):
    other = shutil.copytree(model_dir, tmp_path / "other")
    change(other, "run_seed.seed = 5", "run_seed.seed = 6")
    change(other, "\nrun.train_steps = 6", "\nrun.train_steps = 7")
    readings = Calls(monkeypatch, tokenized_split, "read_split")
    scorers = Calls(monkeypatch, whole_split, "Scorer")
    out = evaluate("--model_dir", model_dir, "--model_dir", other)
    assert (readings.number, scorers.number) == (1, 1)
    assert "The best checkpoint of each" in out and "run, other: Whole validation split" in out
    first, second = lines(model_dir), lines(other)
    assert [row["step"] for row in first] == [0, 3, 6]
    assert [row["nats"] for row in first] == [row["nats"] for row in second]
    # What is known is not scored again, and needs no graph.
    evaluate("--model_dir", model_dir)
    assert scorers.number == 1 and lines(model_dir) == first


def test_first_choices_are_counted_where_they_are_asked_for(model_dir):
    evaluate("--model_dir", model_dir, "--checkpoints", "latest")
    out = evaluate("--model_dir", model_dir, "--checkpoints", "latest", "--accuracy")
    before, row = lines(model_dir)
    assert row["nats"] == pytest.approx(before["nats"], rel=1e-6) and "accuracy" not in before
    assert row["accuracy"] == row["correct"] / row["tokens"] and 0 < row["correct"] < row["tokens"]
    assert f"{row['accuracy']:.2%}" in out and "the model's first choice" in out


def test_the_difference_of_two_models_is_printed_with_its_own_error(
    model_dir, wide, tmp_path, monkeypatch
):
    other = shutil.copytree(wide, tmp_path / "other")
    words = ("--model_dir", model_dir, "--model_dir", other, "--checkpoints", "latest")
    out = evaluate(*words)
    (own,), (base,) = lines(other), lines(model_dir)
    value = own["nats_per_token"] - base["nats_per_token"]
    nats = [document_sums.read(row).nats for row in (own, base)]
    counts = document_sums.read(base).counts["tokens"]
    difference = nats[0] - nats[1]
    draws = np.random.default_rng(0).integers(0, len(counts), [9999, len(counts)])
    spread = np.std(difference[draws].sum(1) / counts[draws].sum(1))
    line = next(
        line for line in out[out.index("Differences from run") :].splitlines() if "│" in line
    )
    printed_value, error = map(float, re.findall(r"[-+]?\d+\.\d+", line)[:2])
    assert printed_value == pytest.approx(value, abs=1e-4)
    # The spread over draws of n documents is that of the error without n / (n - 1).
    number = len(counts)
    assert error == pytest.approx(spread * (number / (number - 1)) ** 0.5, rel=0.1, abs=1e-4)
    assert f"paired over {number} documents" in out and "no standard error" not in out
    # The other baseline has the other sign, and no model runs again.
    monkeypatch.setattr(whole_split, "Scorer", None)
    out = evaluate(*words, "--baseline", f"{other}/")
    assert "Differences from other" in out and f"{-value:+.4f}" in out


@pytest.mark.slow
def test_other_models_have_a_graph_of_their_own(model_dir, wide, tmp_path, monkeypatch):
    """Also where only a setting differs that no checkpoint knows."""
    other = shutil.copytree(wide, tmp_path / "other")
    cast = shutil.copytree(wide, tmp_path / "cast")
    setting = "sublayer_true_layer_norm.epsilon"
    (cast / "config.gin").write_text(f"{(cast / 'config.gin').read_text()}\n{setting} = 0.5\n")
    scorers = Calls(monkeypatch, whole_split, "Scorer")
    directories = [model_dir, other, cast]
    evaluate(*[word for path in directories for word in ("--model_dir", path)])
    assert scorers.number == 3
    alone = shutil.copytree(wide, tmp_path / "alone")
    evaluate("--model_dir", alone)
    assert [row["nats"] for row in lines(alone)] == [row["nats"] for row in lines(other)]


@pytest.mark.slow
def test_other_batches_as_released_have_a_graph_of_their_own(model_dir, tmp_path, monkeypatch):
    """Experts drop tokens by batch: its rows are the run's own."""
    other = shutil.copytree(model_dir, tmp_path / "other")
    change(other, "run.batch_size = 4", "run.batch_size = 2")
    scorers = Calls(monkeypatch, whole_split, "Scorer")
    words = ("--protocol", "as_released", "--checkpoints", "latest")
    evaluate("--model_dir", model_dir, "--model_dir", other, *words)
    assert scorers.number == 2


def test_a_text_is_not_shared_under_other_data_settings(model_dir, tmp_path, monkeypatch):
    other = shutil.copytree(model_dir, tmp_path / "other")
    change(other, "text_files.held_out = 0.2", "text_files.held_out = 0.4")
    out = evaluate("--model_dir", model_dir, "--model_dir", other, "--checkpoints", "latest")
    checksums = {lines(path)[0]["text_checksum"] for path in (model_dir, other)}
    assert len(checksums) == 2 and "Not to be compared: the texts have" in out


def test_a_checkpoint_of_another_architecture_is_skipped(model_dir, wide, capfd):
    for path in wide.glob("model.ckpt-1.*"):
        shutil.copy(path, model_dir)
    capfd.readouterr()
    evaluate("--model_dir", model_dir, "--checkpoints", "0,1,3", code=1)
    assert [row["step"] for row in lines(model_dir)] == [0, 3]
    error = capfd.readouterr().err
    assert "1 of 3 checkpoints could not be evaluated: step 1: " in error
    assert "another architecture or vocabulary" in error


def test_the_best_checkpoint_is_copied_with_its_settings(model_dir, tmp_path):
    evaluate("--model_dir", model_dir, "--keep_best")
    rows = {row["step"]: row["nats_per_token"] for row in lines(model_dir)}
    best = min(rows, key=rows.get)
    assert best_checkpoint.read_result(str(model_dir))["nats_per_token"] == rows[best]
    assert primer.load(model_dir, checkpoint="best").step == best
    # A worse one does not replace it, even if only the worse one is evaluated.
    worse = max(rows, key=rows.get)
    evaluate("--model_dir", model_dir, "--keep_best", "--checkpoints", worse)
    assert best_checkpoint.read_result(str(model_dir))["step"] == best
    names = {path.name for path in (model_dir / "best").iterdir()}
    assert {"config.gin", "primer.json", "best.json", f"model.ckpt-{best}.index"} <= names
    assert len([name for name in names if name.endswith(".index")]) == 1


def test_an_average_is_evaluated_loaded_and_not_trained(model_dir, texts, tmp_path, capfd):
    average = tmp_path / "average"
    assert run("average", "--model_dir", model_dir, "--last", 2, "--output", average) == 0
    evaluate("--model_dir", average)
    (row,) = lines(average)
    model = primer.load(average)
    assert row["step"] == model.step == 6
    assert model.generate(["7 times"], max_tokens=3, seed=1)
    model.close()
    capfd.readouterr()
    assert run(*train_words(texts, average, "--steps", 9)) == 2
    assert "without the optimizer's state" in capfd.readouterr().err
    start = f"utils.run.init_checkpoint = '{average}/model.ckpt-6'"
    words = train_words(texts, tmp_path / "new", "--steps", 1, "--gin_param", start)
    assert run(*words) == 0  # The hint of the error message.
    assert f"from the weights of {average}/model.ckpt-6" in capfd.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["--timeout", 3], "--follow"),
        (["--follow", "--timeout", -1], "--timeout = -1"),
        (["--follow", "--checkpoints", "3"], "expected all or latest"),
        (["--follow", "--model_dir", "."], "one run"),
        (["--baseline", "elsewhere"], "--baseline elsewhere: expected one of --model_dir"),
        (["--split", "test"], "no split 'test'"),
        (["--checkpoints", "4"], "there are 0, 3, 6"),
        (["--checkpoints", "best"], "primer eval --keep_best"),
        (["--columns", 3], "protocol.columns = 3 (--columns) is for the protocol transformer_xl"),
        (["--protocol", "transformer_xl", "--columns", 999999], "expected at most"),
        (["--protocol", "transformer_xl", "--ext_len", 4], "protocol.ext_len = 4 (--ext_len)"),
        (["--gin_param", "protocol.units = ['bits']"], "protocol.units has 'bits'"),
    ],
)
def test_invalid_options_are_one_error_line_before_a_model_is_built(
    trained, words, message, monkeypatch, capfd
):
    monkeypatch.setattr(whole_split, "Scorer", None)
    assert run("eval", "--model_dir", trained, *words) == 2
    assert message in capfd.readouterr().err.splitlines()[-1]


def test_models_are_ordered_by_the_flops_of_their_training(model_dir, wide):
    """The wide model has trained for one step, the other one for six."""
    directories = ["--model_dir", model_dir, "--model_dir", wide]
    out = evaluate(*directories, "--checkpoints", "latest", "--order_by", "flops")
    table = out[out.index("The best checkpoint of each") :]
    names = [line.split("│")[1].strip() for line in table.splitlines() if "│" in line]
    assert names[:2] == ["wide", "run"]
    row = lines(model_dir)[-1]
    record = json.loads((model_dir / "primer.json").read_text())
    ((_, tokens, flops, _),) = record["tokens_per_step"]
    assert row["training_flops"] == 6 * tokens * flops
    assert row["flops_convention"].startswith("training, exact with attention, length ")
    assert row["parameters"] > row["parameters_without_embedding"] > 0


def start(*words):
    """A command in a process of its own."""
    root = os.path.dirname(os.path.dirname(primer.__file__))
    command = [sys.executable, "-m", "primer", *map(str, words)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": root})


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_evaluation_continues_where_it_stopped(model_dir):
    evaluation = start("eval", "--model_dir", model_dir, "--batch_size", 1)
    wait_for(lambda: list(model_dir.glob("eval/*.jsonl")))
    wait_for(lambda: lines(model_dir))
    evaluation.send_signal(signal.SIGKILL)
    evaluation.wait()
    before = lines(model_dir)
    evaluate("--model_dir", model_dir)
    after = lines(model_dir)
    assert after[: len(before)] == before
    assert [row["step"] for row in after] == [0, 3, 6]


@pytest.mark.slow
def test_a_run_is_followed_to_its_end(texts, tmp_path):
    training = start(*train_words(texts, tmp_path / "run", "--steps", 9))
    wait_for((tmp_path / "run" / "config.gin").exists)
    out = evaluate("--model_dir", tmp_path / "run", "--follow", "--timeout", 200)
    assert training.wait() == 0
    assert [row["step"] for row in lines(tmp_path / "run")] == [0, 3, 6, 9]
    assert "9" in out
