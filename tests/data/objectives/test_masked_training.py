"""A masked language model trains through `utils.run`, learns, and resumes with the same masks."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from primer.data import tasks  # noqa: F401
from tests.paths import ROOT
from tests.runtime import tiny


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "lines.txt"
    path.write_text("".join(f"line {n}: {n} times {n} is {n * n}, not {n}.\n" for n in range(60)))
    return path


def bindings(texts, *more):
    return [
        "import primer.data.tasks",
        'include "objectives/masked_lm.gin"',
        "utils.run.eval_dataset_fn = None",
        'MIXTURE_NAME = "text"',
        f'text_files.glob = "{texts}"',
        'text_files.unit = "line"',
        "text_files.held_out = 0.2",
        'task_vocabulary.name = "bytes"',
        "task_vocabulary.extra_ids = 1",
        "utils.run.batch_size = 8",
        *more,
    ]


def test_a_model_learns(texts, tmp_path):
    """The loss is that of a predicted token: it begins at the logarithm of the vocabulary."""
    more = ["utils.run.train_steps = 60", "dropout_rate = 0.0"]
    tiny.run(tmp_path, *bindings(texts, *more))
    losses = tiny.scalars(tmp_path)["loss"]
    assert losses[1] == pytest.approx(np.log(384), rel=0.35)
    assert losses[max(losses)] < 0.7 * np.log(384)


def test_a_run_in_two_parts_is_one_run(texts, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    steps = ["utils.run.save_checkpoints_steps = 3", "utils.run.train_steps = 6"]
    tiny.run(whole, *bindings(texts, *steps))
    tiny.run(parts, *bindings(texts, *steps, "utils.run.train_steps = 3"))
    tiny.run(parts, *bindings(texts, *steps))
    tiny.assert_equal_variables(tiny.variables(whole, 6), tiny.variables(parts, 6))
    other = tmp_path / "other"
    tiny.run(other, *bindings(texts, *steps, "masked_lm.keep_rate = 0.3"))
    first, second = tiny.variables(whole, 6), tiny.variables(other, 6)
    assert any((first[name] != second[name]).any() for name in first)


def test_microbatches_do_not_change_the_loss(texts, tmp_path):
    losses = []
    for tokens in (256, 64):
        more = [
            "utils.run.train_steps = 1",
            "dropout_rate = 0.0",
            f"utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = {tokens}",
        ]
        tiny.run(tmp_path / str(tokens), *bindings(texts, *more))
        losses.append(tiny.scalars(tmp_path / str(tokens))["loss"][1])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_stock_evaluation_and_ours_give_the_same_loss(texts, tmp_path, capfd):
    """Of the same rows with the same masks, whatever the seed of the run and the batch."""
    import t5_imports  # noqa: F401

    tiny.run(tmp_path, *bindings(texts, "utils.run.train_steps = 3"))
    capfd.readouterr()
    stock = [
        'utils.run.mode = "perplexity_eval"',
        'utils.run.dataset_split = "validation"',
        "utils.run.eval_checkpoint_step = 3",
        "run_seed.seed = 8",
        "utils.run.batch_size = 1",
    ]
    tiny.run(tmp_path, *bindings(texts, *stock))
    (nats, tokens), *_ = re.findall(
        r"validation_100  (\S+) nats per token over (\S+) tokens", capfd.readouterr().err
    )
    ours = ['include "run/evaluate.gin"', 'evaluate_checkpoints.checkpoints = "latest"']
    tiny.run(tmp_path, *bindings(texts, *ours))
    line = (tmp_path / "eval" / "text_validation_masked.jsonl").read_text().splitlines()[-1]
    row = json.loads(line)
    assert f"{row['nats_per_token']:.4f}" == nats
    assert row["tokens"] == int(tokens) > 50
    assert row["protocol"] == "masked" and row["bits_per_byte"] is None


@pytest.mark.slow
def test_a_killed_run_ends_like_an_uninterrupted_one(texts, tmp_path, capfd):
    more = bindings(texts, "utils.run.train_steps = 24", "utils.run.save_checkpoints_steps = 12")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    tiny.run(whole, *more)
    assert re.findall(r"epoch \d", capfd.readouterr().err)[-1] == "epoch 4"
    command = [sys.executable, "-m", "tests.runtime.killed_run", str(killed), "24", "before", *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    tiny.run(killed, *more)
    tiny.assert_equal_variables(tiny.variables(whole, 24), tiny.variables(killed, 24))


@pytest.mark.parametrize(
    "wrong, message",
    [
        ("task_vocabulary.extra_ids = 0", "has no id for the mask; set task_vocabulary.extra_ids"),
        ("masked_lm.mask_rate = 2.0", "masked_lm.mask_rate = 2.0: expected"),
        ('utils.run.model_type = "lm"', "rows with masks are for 'aligned'"),
        ('include "run/score.gin"', "it neither generates nor scores a text"),
        ('utils.run.mode = "infer"', "utils.run.mode = 'infer' reads left to right"),
        ('utils.run.mode = "score_eval"', "utils.run.mode = 'score_eval' reads left to right"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(texts, tmp_path, capfd, wrong, message):
    import t5_imports  # noqa: F401  Registers the checks before a run.

    with pytest.raises(SystemExit) as refused:
        tiny.run(tmp_path, *bindings(texts, wrong))
    assert refused.value.code == 2
    said = capfd.readouterr().err
    assert message in said
    assert len([line for line in said.splitlines() if line.startswith("primer:")]) == 1
