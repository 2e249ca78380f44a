"""Checks before a run and the validator of `--eval_every`."""

import math
import types

import gin
import numpy as np
import pytest
import t5.models  # noqa: F401  Registers mesh_train_dataset_fn.

from primer.errors import RunError, UsageError
from primer.evaluation import evaluate, runtime_callbacks
from primer.evaluation.scores import score_texts  # noqa: F401  Registers it.
from primer.evaluation.totals import Totals
from primer.runtime import callbacks
from primer.runtime.training import validation  # noqa: F401  Registers validation.every.
from tests.evaluation import small_checkpoints
from tests.runtime import tiny

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


class Scorer:
    """Stands in for a scorer: the loss of a token is the variable of a checkpoint."""

    length, rows, caveats, memory = 16, 64, ["A caveat."], None
    routing = types.SimpleNamespace(as_result=dict)

    def restore(self, path):
        self.loss = float(small_checkpoints.load(path)["loss"])

    def nats(self, targets, segments):
        self.before_batch()
        return (segments > 0) * self.loss

    def close(self):
        pass


class Interrupted(Exception):
    pass


@pytest.fixture
def readings(monkeypatch):
    """The arguments of each reading of a split; the scorer is replaced."""
    found = []
    read_split = evaluate.protocols.Protocol.read_split

    def read(protocol, *arguments):
        found.append(arguments)
        return read_split(protocol, *arguments)

    monkeypatch.setattr(evaluate.protocols.Protocol, "read_split", read)
    monkeypatch.setattr(evaluate, "make_scorer", lambda estimator: Scorer())
    monkeypatch.setattr(evaluate, "configuration_of", lambda *estimator_and_form: "a function")
    monkeypatch.setattr(evaluate, "cost_of", lambda estimator: {})
    gin.parse_config(TASK)
    return found


@pytest.fixture
def validator(tmp_path, readings):
    return make_validator(tmp_path)


def make_validator(model_dir, before_batch=lambda: None):
    settings = {"sequence_length": {"targets": 16}}
    estimator = types.SimpleNamespace(model_dir=str(model_dir), settings=settings, model=None)
    return runtime_callbacks.Validator(estimator, before_batch)


def save(model_dir, step, loss):
    return small_checkpoints.save(model_dir, step, {"loss": np.float32(loss)})


def lines(model_dir):
    path = model_dir / "eval" / "sotu_validation_stream.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def test_the_validator_reads_the_split_once_and_writes_rows(validator, readings, tmp_path):
    found = [validator.evaluate(save(tmp_path, step, loss)) for step, loss in ((1, 2.0), (2, 3.0))]
    validator.close()
    assert [row["nats_per_token"] for row in found] == [2.0, 3.0]
    assert found[0]["split"] == "validation" and found[0]["how"].endswith("A caveat.")
    assert readings == [("sotu", "validation", 16)]
    assert not math.isnan(found[0]["bits_per_byte"]) and set(Totals.__annotations__) < set(found[0])
    assert len(lines(tmp_path)) == 2
    scalars = tiny.scalars(tmp_path / "eval" / "sotu_validation_stream")
    assert scalars["primer_eval/sotu_validation_stream/nats_per_token"] == {1: 2.0, 2: 3.0}


def test_a_recorded_row_is_found_without_the_text(validator, readings, tmp_path):
    path = save(tmp_path, 1, 2.0)
    assert validator.recorded(path) is None
    row = validator.evaluate(path)
    readings.clear()
    later = make_validator(tmp_path)
    assert later.recorded(path) == row and readings == []
    assert later.evaluate(path) == row and len(lines(tmp_path)) == 1
    assert later.recorded(save(tmp_path, 1, 5.0)) is None
    assert later.recorded(f"{tmp_path}/model.ckpt-7") is None


def test_an_evaluation_that_ends_early_writes_nothing(readings, tmp_path):
    def before_batch():
        raise Interrupted

    validator, path = make_validator(tmp_path, before_batch), save(tmp_path, 1, 2.0)
    validator.prepare()
    with pytest.raises(Interrupted):
        validator.evaluate(path)
    assert lines(tmp_path) == [] and validator.recorded(path) is None


def test_a_checkpoint_that_cannot_be_read_is_an_error(validator, tmp_path):
    with pytest.raises(RunError, match="cannot be read|is not there any more"):
        validator.evaluate(f"{tmp_path}/model.ckpt-1")


def test_events_of_a_training_that_went_elsewhere_are_dropped(readings, tmp_path):
    first = make_validator(tmp_path)
    for step in (2, 4, 6):
        first.evaluate(save(tmp_path, step, 3.0))
    second = make_validator(tmp_path)
    second.evaluate(save(tmp_path, 2, 3.0))  # Known.
    second.evaluate(save(tmp_path, 4, 2.0))
    second.evaluate(save(tmp_path / "best", 2, 1.0))  # A best is behind the training.
    assert tiny.dropped_from(tmp_path / "eval" / "sotu_validation_stream") == [4]


def test_the_runtime_has_this_validator():
    assert callbacks.validator_factory() is runtime_callbacks.Validator
