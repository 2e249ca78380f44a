"""`primer eval` of one run: its rows and files, damaged checkpoints, and `primer.load` beside it.

tests/commands/test_eval.py has several directories and runs that go on.
"""

import contextlib
import io
import json
import math
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

import primer
from primer.checkpoints.description import plain_settings
from primer.errors import UsageError
from tests.command_lines import ENGINE, run


@pytest.fixture
def model_dir(small_run, tmp_path):
    """A directory with checkpoints 0, 3 and 6, and no best one."""
    copy = shutil.copytree(small_run, tmp_path / "run")
    shutil.rmtree(copy / "best")
    return copy


def evaluate(*words, code=0):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert run("eval", *words) == code
    return out.getvalue()


def lines(model_dir):
    (path,) = (model_dir / "eval").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


class Evaluation(NamedTuple):
    rows: dict  # The lines that `primer eval` wrote, by step.
    out: str
    model_dir: pathlib.Path


@pytest.fixture(scope="module")
def evaluation(small_run, tmp_path_factory):
    """All checkpoints of a run that was validated while it trained, evaluated."""
    model_dir = shutil.copytree(small_run, tmp_path_factory.mktemp("evaluated") / "model")
    out = evaluate("--model_dir", model_dir)
    return Evaluation({row["step"]: row for row in lines(model_dir)}, out, model_dir)


def test_the_function_that_is_measured_is_the_one_that_training_recorded(evaluation):
    record = json.loads((evaluation.model_dir / "primer.json").read_text())
    function = {key: record[key] for key in ("wiring", "configuration")}
    assert {row["configuration"] for row in evaluation.rows.values()} == {
        plain_settings.fingerprint(function)
    }
    assert {row["not_as_trained"] for row in evaluation.rows.values()} == {""}


def test_a_directory_without_a_model_is_one_line(tmp_path, capsys):
    assert run("eval", "--model_dir", tmp_path / "nowhere") == 2
    assert "no such directory" in capsys.readouterr().err
    assert run("eval", "--model_dir", tmp_path) == 2
    error = capsys.readouterr().err
    assert "config.gin" in error and len(error.splitlines()) == 1


def test_eval_prints_and_writes_every_checkpoint(evaluation):
    rows, out, model_dir = evaluation
    assert sorted(rows) == [0, 3, 6]
    for row in rows.values():
        assert f"{row['nats_per_token']:.4f}" in out
        assert row["nats_per_token"] == pytest.approx(row["nats"] / row["tokens"], rel=1e-12)
        assert row["bytes"] == row["tokens"]  # A byte is a token here, an end is one of both.
        assert row["bits_per_byte"] == pytest.approx(row["nats_per_token"] / math.log(2))
        assert row["how"] in " ".join(out.split()) and "windows of 32 tokens" in row["how"]
    assert rows[0]["nats"] > rows[6]["nats"]
    (table,) = (model_dir / "eval").glob("*.tsv")
    header, *cells = [line.split("\t") for line in table.read_text().splitlines()]
    assert [int(row[header.index("step")]) for row in cells] == [0, 3, 6]


def test_validation_while_training_gives_the_number_of_eval(evaluation):
    best = json.loads((evaluation.model_dir / "best" / "best.json").read_text())
    row = evaluation.rows[best["step"]]
    assert row["nats_per_token"] == pytest.approx(best["nats_per_token"], rel=1e-9)


def test_the_whole_split_is_counted(evaluation, small_held_out):
    row = evaluation.rows[6]
    assert row["documents"] == len(small_held_out)
    assert row["tokens"] == sum(len(content.encode()) + 1 for content in small_held_out)
    assert row["words"] == sum(len(content.split()) for content in small_held_out)


def test_another_batch_size_gives_the_same_numbers(evaluation, model_dir):
    evaluate("--model_dir", model_dir, "--checkpoints", "latest", "--batch_size", 7)
    (row,) = lines(model_dir)
    assert row["nats"] == pytest.approx(evaluation.rows[6]["nats"], rel=1e-6)
    assert row["text_checksum"] == evaluation.rows[6]["text_checksum"]


def test_a_damaged_checkpoint_is_reported_and_skipped(model_dir, capsys):
    data = max(model_dir.glob("model.ckpt-3.data-*"), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    (model_dir / "model.ckpt-6.index").unlink()
    evaluate("--model_dir", model_dir, code=1)
    assert [row["step"] for row in lines(model_dir)] == [0]
    error = capsys.readouterr().err
    assert "2 of 3 checkpoints could not be evaluated: step 3: " in error and "; step 6: " in error


def test_a_missing_step_and_a_missing_split_are_one_line(small_run, capsys):
    assert run("eval", "--model_dir", small_run, "--checkpoints", "4") == 2
    assert "there are 0, 3, 6" in capsys.readouterr().err
    assert run("eval", "--model_dir", small_run, "--split", "test") == 2
    assert "no split 'test'" in capsys.readouterr().err


def test_the_printed_command_runs_in_a_shell(model_dir, capsys):
    """The printed text is copied, with the engine named by its module, and run."""
    assert run("eval", "--model_dir", model_dir, "--checkpoints", "latest") == 0
    error = capsys.readouterr().err
    printed = error[error.index("t5_mesh_transformer") :].split("\n\n")[0]
    engine = f"{shlex.quote(sys.executable)} -c {shlex.quote(ENGINE)}"
    shutil.rmtree(model_dir / "eval")
    done = subprocess.run(
        printed.replace("t5_mesh_transformer", engine, 1),
        shell=True,
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(primer.__file__))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (row,) = lines(model_dir)
    assert f"{row['nats_per_token']:.4f}" in done.stdout


def test_load_scores_texts(small_run):
    import gin

    gin.parse_config("text_files.held_out = 0.5")
    model = primer.load(small_run)
    assert gin.query_parameter("text_files.held_out") == 0.5  # The model's are its own.
    assert model.step == 6 and model.length == 32
    short, long, empty = model.score(["7 times 8 is 56.", "1 times 2 is 2.\n" * 9, ""])
    assert (short.tokens, short.bytes, short.words) == (17, 17, 5)
    assert long.tokens == 16 * 9 + 1 and empty.tokens == 1
    assert 0 < short.nats_per_token < 6
    # A window does not see the one before it: parts of 32 tokens are what the whole is.
    ids = [*model.vocabulary.encode("1 times 2 is 2.\n" * 9), 1]
    parts = [ids[start : start + 32] for start in range(0, len(ids), 32)]
    padded = np.array([part + [0] * (32 - len(part)) for part in parts])
    assert np.sum(model.scorer.nats(padded), dtype=np.float64) == pytest.approx(long.nats)
    model.close()


def test_load_agrees_with_eval(small_run, small_held_out, evaluation):
    row = evaluation.rows[3]
    best = json.loads((small_run / "best" / "best.json").read_text())["step"]
    model = primer.load(small_run, checkpoint=3, batch_size=2)
    totals = model.score(small_held_out)
    assert sum(t.tokens for t in totals) == row["tokens"]
    # Documents alone, or in one stream with cuts elsewhere: near, not equal.
    assert sum(t.nats for t in totals) == pytest.approx(row["nats"], rel=0.02)
    assert primer.load(small_run, checkpoint="best").step == best
    with pytest.raises(UsageError, match="no checkpoint of step 5"):
        primer.load(small_run, checkpoint=5)
    with pytest.raises(UsageError, match="expected a list"):
        model.score("a text")
