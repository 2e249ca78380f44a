"""Checks before a run and the validator of `--eval_every`."""

import math

import gin
import pytest
import t5.models  # noqa: F401  Registers mesh_train_dataset_fn.

from primer.errors import UsageError
from primer.evaluation import evaluate, runtime_callbacks
from primer.evaluation.scores import score_texts  # noqa: F401  Registers it.
from primer.evaluation.totals import Totals
from primer.runtime import callbacks
from primer.runtime.training import validation  # noqa: F401  Registers validation.every.

TASK = "mesh_train_dataset_fn.mixture_or_task_name = 'sotu'"


@pytest.fixture
def checked(monkeypatch):
    """The (split, whether prepared data are read) of each check of data."""
    found = []

    def check(task, split, use_cached):
        found.append((split, use_cached))

    monkeypatch.setattr(runtime_callbacks.preflight, "check_split", check)
    return found


@pytest.mark.parametrize(
    "mode, bindings, expected",
    [
        ("train", [], [("train", False)]),
        ("train", ["mesh_train_dataset_fn.use_cached = True"], [("train", True)]),
        (
            "train",
            ["validation.every = 5", "mesh_train_dataset_fn.use_cached = True"],
            [("train", True), ("validation", False)],
        ),
        ("perplexity_eval", ["utils.run.dataset_split = 'test'"], [("test", False)]),
        ("eval", ["mesh_eval_dataset_fn.use_cached = True"], [("train", True)]),
        ("infer", [], []),
        ("train", ["utils.run.train_model_fn = @score_texts"], []),
        ("train", ["utils.run.train_model_fn = @evaluate_checkpoints"], [("validation", False)]),
        (
            "train",
            [
                "utils.run.train_model_fn = @evaluate_checkpoints",
                "evaluate_checkpoints.split = 'test'",
            ],
            [("test", False)],
        ),
    ],
)
def test_the_splits_that_a_run_reads_are_checked(mode, bindings, expected, checked):
    gin.parse_config([TASK, *bindings])
    runtime_callbacks.check_data(mode)
    assert checked == expected
    assert runtime_callbacks.is_evaluation() == any("@evaluate" in b for b in bindings)


def test_without_a_task_nothing_is_checked(checked):
    runtime_callbacks.check_data("train")
    assert checked == []


@pytest.mark.parametrize(
    "binding, message",
    [
        ("evaluate_checkpoints.split = 'dev'", "no split 'dev'"),
        ("protocol.stride = 3", "is for the protocol sliding"),
        ("protocol.units = ['words']", "protocol.units has 'words'"),
    ],
)
def test_an_evaluation_that_cannot_work_is_refused_before_the_model(binding, message):
    gin.parse_config([TASK, "utils.run.train_model_fn = @evaluate_checkpoints", binding])
    with pytest.raises(UsageError, match=message):
        runtime_callbacks.check_data("train")


@pytest.mark.parametrize("length", ["16", "{'inputs': 1, 'targets': 16}"])
def test_a_stride_longer_than_the_window_is_refused_before_the_model(length):
    gin.parse_config([TASK, "utils.run.train_model_fn = @evaluate_checkpoints"])
    gin.parse_config([f"utils.run.sequence_length = {length}", "protocol.name = 'sliding'"])
    gin.parse_config("protocol.stride = 17")
    with pytest.raises(UsageError, match="protocol.stride = 17 .* window of 16 tokens"):
        runtime_callbacks.check_data("train")


def test_the_validator_reads_the_split_once(monkeypatch):
    class Scorer:
        length, rows, caveats, nats_of = 16, 64, ["A caveat."], {"a": 2.0, "b": 3.0}

        def restore(self, path):
            self.loss = self.nats_of[path]

        def nats(self, targets, segments):
            return (segments > 0) * self.loss

    readings = []
    read_split = evaluate.protocols.Protocol.read_split

    def read(protocol, *arguments):
        readings.append(arguments)
        return read_split(protocol, *arguments)

    monkeypatch.setattr(evaluate.protocols.Protocol, "read_split", read)
    monkeypatch.setattr(evaluate, "make_scorer", lambda estimator: Scorer())
    gin.parse_config(TASK)

    class Estimator:
        settings = {"sequence_length": {"targets": 16}}

    validate = runtime_callbacks.make_validator(Estimator())
    found = [validate(path) for path in "ab"]
    assert [row["nats_per_token"] for row in found] == [2.0, 3.0]
    assert found[0]["split"] == "validation" and found[0]["how"].endswith("A caveat.")
    assert readings == [("sotu", "validation", 16)]
    assert not math.isnan(found[0]["bits_per_byte"]) and set(Totals.__annotations__) < set(found[0])


def test_the_runtime_has_this_validator():
    assert callbacks.validator_factory() is runtime_callbacks.make_validator
