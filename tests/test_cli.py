"""The command `primer`: its messages, and train, eval and load on a model of a few seconds."""

import contextlib
import io
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import pytest

import primer
from primer import cli
from primer.errors import UsageError
from primer.gin_config import config_files
from primer.launch import engine as engine_call
from primer.launch import train as launch_train
from tests import slow, tiny_text
from tests.command_lines import ENGINE, run
from tests.tiny_text import train_words


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A folder of small text files, with the gin file of a tiny model of them."""
    return tiny_text.write(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def trained(texts):
    """A directory with checkpoints 0, 3 and 6, and the best of the two that were evaluated."""
    model_dir = texts / "model"
    assert run(*train_words(texts, model_dir, "--steps", 6, "--eval_every", 3, "--seed", 5)) == 0
    return model_dir


class Evaluation(NamedTuple):
    rows: dict  # The lines that it wrote, by step.
    out: str


def lines_of(model_dir):
    """What was written of a directory, a dict for each line."""
    (path,) = (model_dir / "eval").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def evaluate(model_dir, *more, code=0) -> Evaluation:
    """`primer eval`, what it printed, and what it wrote."""
    before = len(lines_of(model_dir)) if (model_dir / "eval").exists() else 0
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert run("eval", "--model_dir", model_dir, *more) == code
    new = lines_of(model_dir)[before:]
    return Evaluation({row["step"]: row for row in new}, out.getvalue())


@pytest.fixture(scope="module")
def evaluation(trained):
    """All checkpoints of the trained directory, evaluated."""
    return evaluate(trained)


# ------------------------------------------------------------------ Without TensorFlow


def test_help_is_quick_and_imports_no_tensorflow():
    code = (
        "import sys; sys.argv = ['primer', '--help']\n"
        "from primer import cli\n"
        "try: cli.main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'tensorflow' not in sys.modules and 'numpy' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(primer.__file__))}
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        seconds.append(time.monotonic() - began)
        assert done.returncode == 0, done.stderr
        assert all(name in done.stdout for name in cli.COMMANDS)
    assert min(seconds) < 0.5


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_explains_itself(command, capsys):
    assert run(command, "--help") == 0
    assert "--" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, messages",
    [
        (["--model", "small_primr", "--task", "sotu"], ["small_primr", "small_primer_ez"]),
        (["--model", "small_primer", "--task", "sotuu"], ["sotuu", "lm1b", "text"]),
        (["--task", "sotu"], ["--architecture", "medium_primer"]),
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


def test_misuse_of_eval_is_one_line(tmp_path, capsys):
    assert run("eval", "--model_dir", tmp_path / "nowhere") == 2
    assert "no such directory" in capsys.readouterr().err
    assert run("eval", "--model_dir", tmp_path) == 2
    error = capsys.readouterr().err
    assert "config.gin" in error and len(error.splitlines()) == 1


def test_the_full_name_of_a_task_is_understood():
    assert (
        launch_train.task_gin_file("lm1b_autoregressive_language_modeling") == "datasets/lm1b.gin"
    )
    assert (
        launch_train.task_gin_file("c4_v220_autoregressive_language_modeling") == "datasets/c4.gin"
    )
    for task in ("sotu2", "sotu_v2", "text_mine"):
        with pytest.raises(UsageError):
            launch_train.task_gin_file(task)


def test_the_arguments_of_a_published_model():
    model = launch_train.ModelChoice("small_primer")
    training = launch_train.TrainingRun(model, "m", "sotu", steps=7, seed=3, gin_param=["a.b = 1"])
    arguments = launch_train.engine_arguments(training)
    assert arguments == [
        "--module_import=t5_imports",
        "--model_dir=m",
        "--gin_file=models/defaults.gin",
        "--gin_file=models/small_primer.gin",
        "--gin_file=datasets/sotu.gin",
        "--gin_param=utils.run.train_steps = 7",
        "--gin_param=a.b = 1",
        "--seed=3",
    ]


def test_a_part_may_be_a_file_of_ones_own(tmp_path):
    size = tmp_path / "mine.gin"
    size.write_text("d_model = 16\n")
    parts = dict(architecture="primer", activation="swiglu", size=str(size))
    files = ["architectures/primer.gin", "activations/swiglu.gin", str(size)]
    choice = launch_train.ModelChoice(**parts)
    assert launch_train.model_gin_files(choice) == [config_files.MODEL_DEFAULTS, *files]
    choice = launch_train.ModelChoice(**{**parts, "size": str(tmp_path / "other.gin")})
    with pytest.raises(UsageError, match="--size .*other.gin: there is no such file"):
        launch_train.model_gin_files(choice)


def test_the_printed_line_is_what_a_shell_reads_back():
    arguments = ['--gin_param=a = "it\'s $HOME"', "--model_dir=/tmp/with space"]
    program = "import json, sys; print(json.dumps(sys.argv[1:]))"
    engine = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"
    command = engine_call.shell_command(arguments).replace("t5_mesh_transformer", engine, 1)
    assert json.loads(subprocess.check_output(command, shell=True)) == arguments


@pytest.mark.parametrize(
    "binding, message",
    [
        ("dropout_rat = 0.1", "did you mean dropout_rate?"),
        ("text_files.globb = 'x'", "globb"),
        ("dropout_rate", "gin cannot take these settings"),
    ],
)
def test_a_misspelled_binding_is_one_line(binding, message, texts, tmp_path, capfd):
    assert run(*train_words(texts, tmp_path, "--gin_param", binding)) == 2
    error = capfd.readouterr().err.split("\n\n", 1)[1]
    (line,) = [line for line in error.splitlines() if line.startswith("primer: ")]
    assert message in line and "Traceback" not in error


# ------------------------------------------------------------------ With a model


def test_training_validates_and_keeps_the_best(trained):
    names = os.listdir(trained)
    assert {"model.ckpt-3.index", "model.ckpt-6.index", "train.log", "config.gin"} <= set(names)
    best = json.loads((trained / "best" / "best.json").read_text())
    assert best["step"] in (3, 6) and 0 < best["nats_per_token"] < 6
    assert "Whole validation split" in best["how"]
    kept = set(os.listdir(trained / "best"))
    assert {"primer.json", "config.gin", f"model.ckpt-{best['step']}.index"} <= kept


def test_eval_prints_and_writes_every_checkpoint(evaluation, trained):
    rows, out = evaluation
    assert sorted(rows) == [0, 3, 6]
    for row in rows.values():
        assert f"{row['nats_per_token']:.4f}" in out
        assert row["nats_per_token"] == pytest.approx(row["nats"] / row["tokens"], rel=1e-12)
        assert row["bytes"] == row["tokens"]  # A byte is a token here, an end is one of both.
        assert row["bits_per_byte"] == pytest.approx(row["nats_per_token"] / math.log(2))
        assert row["how"] in " ".join(out.split()) and "windows of 32 tokens" in row["how"]
    assert rows[0]["nats"] > rows[6]["nats"]
    (table,) = (trained / "eval").glob("*.tsv")
    with open(table) as lines:
        header, *cells = [line.rstrip("\n").split("\t") for line in lines]
    assert [int(row[header.index("step")]) for row in cells] == [0, 3, 6]


def test_validation_while_training_gives_the_number_of_eval(evaluation, trained):
    best = json.loads((trained / "best" / "best.json").read_text())
    row = evaluation.rows[best["step"]]
    assert row["nats_per_token"] == pytest.approx(best["nats_per_token"], rel=1e-9)


@pytest.fixture(scope="module")
def held_out(texts):
    """The documents of the validation split, found without the task."""
    import tensorflow as tf

    from primer.data.sources import text_files

    contents = [path.read_text() for path in sorted(texts.glob("*.txt"))]
    with tf.Graph().as_default(), tf.compat.v1.Session() as sess:
        found = [c for c in contents if sess.run(text_files.is_held_out(tf.constant(c), 0.2))]
    assert 0 < len(found) < len(contents)
    return found


def test_the_whole_split_is_counted(evaluation, held_out):
    row = evaluation.rows[6]
    assert row["documents"] == len(held_out)
    assert row["tokens"] == sum(len(content.encode()) + 1 for content in held_out)
    assert row["words"] == sum(len(content.split()) for content in held_out)


def test_another_batch_size_gives_the_same_numbers(evaluation, trained):
    after = evaluate(trained, "--checkpoints", "latest", "--batch_size", 7, "--again")
    assert list(after.rows) == [6]
    assert after.rows[6]["nats"] == pytest.approx(evaluation.rows[6]["nats"], rel=1e-6)
    assert after.rows[6]["text_checksum"] == evaluation.rows[6]["text_checksum"]


def test_a_damaged_checkpoint_is_reported_and_skipped(trained, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    data = max(copy.glob("model.ckpt-3.data-*"), key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    (copy / "model.ckpt-6.index").unlink()
    shutil.rmtree(copy / "best")
    rows, _ = evaluate(copy, "--again", code=1)
    assert sorted(rows) == [0]
    error = capsys.readouterr().err
    assert "2 of 3 checkpoints could not be evaluated: step 3: " in error and "; step 6: " in error


def test_a_missing_step_and_a_missing_split_are_one_line(trained, capsys):
    assert run("eval", "--model_dir", trained, "--checkpoints", "4") == 2
    assert "there are 0, 3, 6" in capsys.readouterr().err
    assert run("eval", "--model_dir", trained, "--split", "test") == 2
    assert "no split 'test'" in capsys.readouterr().err


def test_the_same_training_command_goes_on_from_its_checkpoint(trained, texts, capfd):
    assert run(*train_words(texts, trained, "--steps", 6, "--seed", 5)) == 0
    assert "nothing to do" in capfd.readouterr().err


def test_another_architecture_is_refused(trained, texts, capsys):
    words = train_words(texts, trained, "--steps", 9)
    words[words.index("primer_ez")] = "primer"
    assert run(*words) == 2
    assert "another" in capsys.readouterr().err


def test_load_scores_texts(trained):
    import gin

    gin.parse_config("text_files.held_out = 0.5")
    model = primer.load(trained)
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


def test_load_agrees_with_eval(evaluation, trained, held_out):
    best = json.loads((trained / "best" / "best.json").read_text())["step"]
    model = primer.load(trained, checkpoint=3, batch_size=2)
    totals = model.score(held_out)
    assert sum(t.tokens for t in totals) == evaluation.rows[3]["tokens"]
    # Documents alone, or in one stream with cuts elsewhere: near, not equal.
    assert sum(t.nats for t in totals) == pytest.approx(evaluation.rows[3]["nats"], rel=0.02)
    assert primer.load(trained, checkpoint="best").step == best
    with pytest.raises(UsageError, match="no checkpoint of step 5"):
        primer.load(trained, checkpoint=5)
    with pytest.raises(UsageError, match="expected a list"):
        model.score("a text")


@pytest.mark.parametrize("command", slow.all_but(["eval"], ["train", "eval"]))
def test_the_printed_command_runs_in_a_shell(command, trained, texts, tmp_path, capsys):
    """What is printed is copied, with the engine named by its module, and run."""
    copy = tmp_path / "model"
    shutil.copytree(trained, copy)
    words = {
        "train": train_words(texts, copy, "--steps", 6),
        "eval": ["eval", "--model_dir", copy, "--checkpoints", "latest"],
    }[command]
    assert run(*words) == 0
    error = capsys.readouterr().err
    printed = error[error.index("t5_mesh_transformer") :].split("\n\n")[0]
    root = os.path.dirname(os.path.dirname(primer.__file__))
    engine = f"{shlex.quote(sys.executable)} -c {shlex.quote(ENGINE)}"
    shutil.rmtree(copy / "eval", ignore_errors=True)
    done = subprocess.run(
        printed.replace("t5_mesh_transformer", engine, 1),
        shell=True,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    if command == "eval":
        (row,) = lines_of(copy)
        assert f"{row['nats_per_token']:.4f}" in done.stdout
    else:
        assert "nothing to do" in done.stderr
