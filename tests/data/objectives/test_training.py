"""Each objective trains through `utils.run`; a killed run continues with the same rows."""

import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from primer.data import tasks  # noqa: F401
from tests.paths import ROOT
from tests.runtime import tiny

OBJECTIVES = ["lm_documents", "lm_stream", "documents_random", "chunks"]
# Rows of 32 positions with segments of 17 tokens on average, and the passes as segments.
VARIED = ["lm_stream.vary_length = True", "train_rows.carried_segments = True"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A file of 60 lines, 2,400 bytes: an epoch is less than twenty batches."""
    path = tmp_path_factory.mktemp("texts") / "lines.txt"
    path.write_text("".join(f"line {n}: {n} times {n} is {n * n}, not {n}.\n" for n in range(60)))
    return path


def bindings(texts, objective, *more):
    return [
        "import primer.data.tasks",
        f'include "objectives/{objective}.gin"',
        'MIXTURE_NAME = "text"',
        f'text_files.glob = "{texts}"',
        'text_files.unit = "line"',
        "text_files.held_out = 0.0",
        'task_vocabulary.name = "bytes"',
        *more,
    ]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_objective_trains(texts, tmp_path, objective):
    tiny.run(tmp_path, *bindings(texts, objective, "utils.run.train_steps = 3"))
    assert tiny.variables(tmp_path, 3)["global_step"] == 3
    loss = tiny.scalars(tmp_path)["loss"][1]
    # Mesh-TensorFlow's loss is the mean over all positions, padding included.
    if objective in ("lm_documents", "lm_stream"):
        assert loss == pytest.approx(np.log(384), rel=0.2)
    else:
        assert 0 < loss < 1.2 * np.log(384)


def test_a_stream_of_varied_lengths_trains(texts, tmp_path, capfd):
    """An epoch takes more steps than with full rows: the line counts padding too."""
    more = ["utils.run.train_steps = 5", "utils.run.batch_size = 32"]
    tiny.run(tmp_path, *bindings(texts, "lm_stream", *VARIED, *more))
    # 5 steps have 5 * 32 * 32 positions; an epoch 2,194 tokens, in rows that are half full.
    assert re.findall(r"epoch \d", capfd.readouterr().err)[-1] == "epoch 2"
    # A mean over all positions, of which 17 of 32 have a token on average, and at least 5.
    assert 0.1 * np.log(384) < tiny.scalars(tmp_path)["loss"][1] < np.log(384)


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective, changes", [("lm_stream", []), ("lm_stream", VARIED), ("lm_documents", [])]
)
def test_a_killed_run_ends_like_an_uninterrupted_one(texts, tmp_path, capfd, objective, changes):
    """The weights of the last step depend on the tokens of each step."""
    more = ["utils.run.train_steps = 24", "utils.run.batch_size = 8", *changes]
    more = bindings(texts, objective, *more)
    more.append("utils.run.save_checkpoints_steps = 12")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    tiny.run(whole, *more)
    said = capfd.readouterr().err
    # 24 steps of 8 rows of 32 tokens are 2.8 times the text.
    assert "text: 60 documents, 2,194 tokens, 2,134 bytes, tokenized in" in said
    columns = "2,194 tokens of 60 documents in 8 columns" in said
    assert columns == (objective == "lm_stream")
    last_epoch = re.findall(r"epoch \d", said)[-1]
    assert last_epoch == ("epoch 2" if changes else "epoch 3")
    command = [sys.executable, "-m", "tests.runtime.killed_run", str(killed), "24", "before", *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert tf.train.latest_checkpoint(str(killed)).endswith("model.ckpt-12")
    tiny.run(killed, *more)
    said = capfd.readouterr().err
    assert "reading from the start" not in said
    assert re.findall(r"epoch \d", said)[-1] == last_epoch
    first, again = tiny.variables(whole, 24), tiny.variables(killed, 24)
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name], err_msg=name)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ("lm_stream.columns = 3", "lm_stream.columns is 3, and a batch has 4 rows"),
        (
            'utils.run.batch_size = ("tokens_per_batch", 100)',
            "utils.run.batch_size is ('tokens_per_batch', 100), which is not a whole number of",
        ),
    ],
)
def test_columns_that_are_not_the_rows_of_a_batch_are_refused(
    texts, tmp_path, capfd, wrong, message
):
    with pytest.raises(SystemExit) as refused:
        tiny.run(tmp_path, *bindings(texts, "lm_stream", wrong))
    assert refused.value.code == 2
    assert message in capfd.readouterr().err


@pytest.mark.parametrize(
    "size, rows",
    [
        ("4", 4),
        ('("tokens_per_batch", 256)', 8),
        ('("sequences_per_batch", 6)', 6),
        ('("tokens_per_replica", 64)', 2),
    ],
)
def test_the_columns_are_the_rows_of_a_batch(texts, tmp_path, size, rows, monkeypatch):
    """For each form of utils.run.batch_size, as Mesh-TensorFlow reads it."""
    from primer.runtime import batch_size
    from primer.runtime.training import loop

    monkeypatch.setattr(loop, "TrainingRun", _Built)
    tiny.run(tmp_path, *bindings(texts, "lm_documents", f"utils.run.batch_size = {size}"))
    assert _Built.rows == rows == batch_size.rows_per_batch()


class _Built:
    """In place of a run: records the batch's rows."""

    def __init__(self, estimator, input_fn, *unused):
        _Built.rows = input_fn({}).element_spec["targets"].shape[0]

    def train(self, stop_request):
        pass
