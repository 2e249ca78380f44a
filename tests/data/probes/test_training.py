"""Runs on a probe: the loss of training, resuming, evaluation by both ways, what is refused."""

import json
import re

import pytest

from primer.data import tasks  # noqa: F401
from tests.runtime import tiny

PROBE = [
    "import primer.data.tasks",
    "import primer.evaluation.protocols",
    'MIXTURE_NAME = "mqar"',
    "mqar.length = 16",
    "mqar.pairs = 3",
    "mqar.vocabulary_size = 24",
    "mqar.validation_examples = 70",
    "utils.run.train_dataset_fn = @example_rows",
    "utils.run.eval_dataset_fn = None",
    'Unitransformer.loss_denominator = "tokens"',
    'protocol.name = "packed"',
    "utils.run.batch_size = 4",
]


def test_a_run_in_two_parts_is_one_run(tmp_path):
    """Rows have two examples each; the stream goes on where the first part ended."""
    import t5_imports  # noqa: F401

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    steps = ["utils.run.save_checkpoints_steps = 3", "utils.run.train_steps = 6"]
    tiny.run(whole, *PROBE, *steps)
    tiny.run(parts, *PROBE, *steps, "utils.run.train_steps = 3")
    tiny.run(parts, *PROBE, *steps)
    tiny.assert_equal_variables(tiny.variables(whole, 6), tiny.variables(parts, 6))


def test_only_answers_count_in_training_and_in_both_evaluations(tmp_path, capfd):
    """Against Mesh-TensorFlow's own evaluation, and a scorer of the rows of a step."""
    import t5_imports  # noqa: F401

    still = ["utils.run.train_steps = 1", "utils.run.learning_rate_schedule = 0.0"]
    tiny.run(tmp_path, *PROBE, *still, "dropout_rate = 0.0", "Unitransformer.z_loss = 0.0")
    loss = tiny.scalars(tmp_path)["loss"][1]
    ours = ['include "run/evaluate.gin"', 'evaluate_checkpoints.checkpoints = "latest"']
    tiny.run(tmp_path, *PROBE, *ours)
    line = (tmp_path / "eval" / "mqar_validation_packed.jsonl").read_text().splitlines()[-1]
    row = json.loads(line)
    assert (row["tokens"], row["documents"], row["counted"]) == (210, 70, "answers")
    assert row["correct"] == round(210 * row["accuracy"])
    # Untrained: a row of other examples has nearly this loss, and none of other tokens.
    assert loss == pytest.approx(row["nats_per_token"], rel=0.15)
    capfd.readouterr()
    stock = [
        'utils.run.mode = "perplexity_eval"',
        'utils.run.dataset_split = "validation"',
        "utils.run.eval_checkpoint_step = 1",
        "utils.run.batch_size = 1",
    ]
    tiny.run(tmp_path, *PROBE, *stock)
    said = capfd.readouterr().err
    (nats, tokens), *_ = re.findall(r"(\S+) nats per token over (\S+) tokens", said)
    assert nats == f"{row['nats_per_token']:.4f}" and int(tokens) == 210
    events = tiny.scalars(tmp_path / "eval_eval_validation_100")
    (accuracy,) = next(v for k, v in events.items() if "token_accuracy" in k).values()
    assert accuracy == pytest.approx(row["accuracy"], abs=1e-6)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ("mqar.pairs = 5", "mqar.pairs = 5: 5 pairs and as many queries with their answers are 20"),
        ("mqar.vocabulary_size = 8", "mqar.vocabulary_size = 8 has 2 keys"),
        ("mqar.length = 64", "mqar.length = 64: an example is longer than a row of 32 tokens"),
        ('include "objectives/lm_stream_in_order.gin"', "task mqar has the objective lm_stream"),
        ('include "run/evaluate.gin"\nprotocol.name = "stream"', "only the answers of task mqar"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(tmp_path, capfd, wrong, message):
    import t5_imports  # noqa: F401  Registers the checks before a run.

    with pytest.raises(SystemExit) as refused:
        tiny.run(tmp_path, *PROBE, wrong)
    assert refused.value.code == 2
    said = capfd.readouterr().err
    assert message in said
    assert len([line for line in said.splitlines() if line.startswith("primer:")]) == 1
