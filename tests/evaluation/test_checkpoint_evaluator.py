"""Which checkpoints are scored, which results are reused, and which are skipped."""

import contextlib
import os
import shutil
import types

import numpy as np
import pytest

from primer.checkpoints import checkpoint_files, model_directory
from primer.checkpoints.description import trained_tokens
from primer.common import files
from primer.cost import conventions
from primer.data.vocabularies.round_trip import RoundTrip
from primer.data.vocabularies.words import WordVocabulary
from primer.errors import RunError, UsageError
from primer.evaluation.checkpoint_evaluator import CheckpointEvaluator
from primer.evaluation.paired import document_sums
from primer.evaluation.results import Results
from primer.evaluation.tokenized_split import from_documents
from primer.evaluation.totals import total
from tests.evaluation import small_checkpoints

TEXT = from_documents([("ab", [5, 6])], 1)


class Scorer:
    """Stands in for a scorer: a checkpoint's loss is its variable."""

    length, caveats, memory, made = 4, [], None, 0
    routing = types.SimpleNamespace(as_result=lambda: {"a router": {"load": [1.0]}})

    def __init__(self):
        type(self).made += 1

    def restore(self, path):
        try:
            values = small_checkpoints.load(path)
        except IndexError as error:
            raise RunError(f"the checkpoint {path} cannot be read") from error
        if "loss" not in values:
            raise UsageError(f"the checkpoint {path} has no variable loss")
        self.loss = float(values["loss"])

    def close(self):
        pass


class Protocol:
    """Stands in for a protocol; notes what is scored."""

    label = "stream"

    def __init__(self, accuracy=None):
        self.scored, self.accuracy = [], accuracy

    def token_nats(self, scorer, text, progress):
        self.scored.append(scorer.loss)
        return np.eye(1, len(text.ids))[0] * scorer.loss  # The first token has all of it.

    def token_nats_and_best(self, scorer, text, progress):
        nats = self.token_nats(scorer, text, progress)
        return nats, np.arange(len(text.ids)) < 2

    def total_of(self, nats, text):
        return total(nats, text)

    def describe(self, split, length, caveats, memory, text):
        return f"{split} in {length}"


@pytest.fixture
def directory(tmp_path):
    for step in (1, 2, 3):
        small_checkpoints.save(tmp_path, step, {"loss": np.float32(step)})
    return tmp_path


def open_scorer():
    return contextlib.closing(Scorer())


def evaluate(directory, steps=(1, 2, 3), text=TEXT, again=False, accuracy=None, **cost):
    """(the CheckpointEvaluator, the losses that were scored)"""
    Scorer.made = 0
    protocol = Protocol(accuracy)
    named = {"model_dir": str(directory), "task": "t", "split": "test", "window": 4}
    named |= {"configuration": "f00d", **cost}
    results = Results(str(directory), "t_test_stream")
    rows = CheckpointEvaluator(protocol, text, named, results, open_scorer, again)
    for step in steps:
        rows.evaluate(f"{directory}/model.ckpt-{step}")
    rows.close()
    return rows, protocol.scored


def test_each_checkpoint_is_scored_once(directory):
    rows, scored = evaluate(directory)
    assert scored == [1.0, 2.0, 3.0] and Scorer.made == 1
    assert [row["step"] for row in rows.rows] == [1, 2, 3]
    again, scored = evaluate(directory)
    assert scored == [] and Scorer.made == 0 and again.num_reused == 3
    assert again.rows == rows.rows


def test_an_evaluation_continues_where_it_stopped(directory):
    evaluate(directory, [1, 2])
    rows, scored = evaluate(directory)
    assert scored == [3.0]
    assert [row["nats"] for row in rows.rows] == [1.0, 2.0, 3.0]


def test_a_result_without_accuracy_is_none_with_it(directory):
    evaluate(directory)
    rows, scored = evaluate(directory, accuracy=True)
    assert scored == [1.0, 2.0, 3.0]
    assert all(row["accuracy"] == 2 / 3 and row["correct"] == 2 for row in rows.rows)
    assert evaluate(directory, accuracy=True)[1] == evaluate(directory)[1] == []


def test_again_scores_all(directory):
    evaluate(directory)
    assert evaluate(directory, again=True)[1] == [1.0, 2.0, 3.0]


def test_another_text_is_scored(directory):
    evaluate(directory)
    assert evaluate(directory, text=from_documents([("ba", [6, 5])], 1))[1] == [1.0, 2.0, 3.0]


def test_other_weights_at_the_same_step_are_scored(directory):
    evaluate(directory)
    small_checkpoints.save(directory, 2, {"loss": np.float32(20)})
    assert evaluate(directory)[1] == [20.0]


def test_a_copied_directory_keeps_its_rows(directory, tmp_path_factory):
    evaluate(directory)
    copy = shutil.copytree(directory, tmp_path_factory.mktemp("copy") / "run")
    rows, scored = evaluate(copy)
    assert scored == [] and {row["model_dir"] for row in rows.rows} == {str(copy)}


def test_each_row_has_the_sums_of_its_documents(directory):
    rows, _ = evaluate(directory)
    for row in rows.rows:
        sums = document_sums.read(row)
        assert sums.nats.tolist() == [row["nats"]] and sums.counts["tokens"].tolist() == [3]


def test_a_row_without_its_sums_is_scored_again(directory):
    rows, _ = evaluate(directory)
    os.remove(document_sums.path_of(rows.rows[0]))
    os.truncate(document_sums.path_of(rows.rows[1]), 99)
    again, scored = evaluate(directory)
    assert scored == [1.0, 2.0] and again.num_reused == 1
    assert evaluate(directory)[1] == []


def test_no_row_is_written_without_its_sums(directory, monkeypatch):
    def fail(row, sums):
        raise OSError("no space left on device")

    monkeypatch.setattr(document_sums, "write", fail)
    with pytest.raises(OSError):
        evaluate(directory)
    assert Results(str(directory), "t_test_stream").rows == []


@pytest.mark.parametrize("known", [False, True])
def test_deleted_truncated_and_foreign_checkpoints_are_skipped(directory, known, capsys):
    if known:
        evaluate(directory)
    for name in directory.glob("model.ckpt-1.*"):
        name.unlink()
    (data,) = directory.glob("model.ckpt-2.data-*")
    os.truncate(data, 1)
    small_checkpoints.save(directory, 4, {"other": np.float32(1)})
    rows, scored = evaluate(directory, [1, 2, 4, 3])
    assert [row["step"] for row in rows.rows] == [3] and scored == ([] if known else [3.0])
    error = capsys.readouterr().err
    reasons = {1: "is not there any more", 2: "cannot be read", 4: "no variable loss"}
    for step, reason in reasons.items():
        (problem,) = [p for p in rows.problems if p.startswith(f"step {step}: ")]
        assert reason in problem
    assert error.count("; skipped") == 3


def test_a_fingerprint_is_of_the_values(tmp_path):
    first = small_checkpoints.save(tmp_path, 1, {"x": np.ones([3], np.float32)})
    same = small_checkpoints.save(tmp_path, 2, {"x": np.ones([3], np.float32)})
    other = small_checkpoints.save(tmp_path, 3, {"x": np.array([1, 1, 1.0001], np.float32)})
    found = [checkpoint_files.fingerprint(path) for path in (first, same, other)]
    assert found[0] == found[1] != found[2]


def test_what_is_not_announced_prints_nothing(directory, capsys):
    for name in directory.glob("model.ckpt-1.*"):
        name.unlink()
    named = {"model_dir": str(directory), "task": "t", "split": "test", "window": 4}
    results = Results(str(directory), "t_test_stream")
    rows = CheckpointEvaluator(Protocol(), TEXT, named, results, open_scorer, announce=False)
    found = [rows.evaluate(f"{directory}/model.ckpt-{step}") for step in (1, 2)]
    rows.close()
    assert found[0] is None and found[1]["nats"] == 2.0 and len(rows.problems) == 1
    assert capsys.readouterr().err == ""


def test_a_row_has_what_the_vocabulary_does_not_give_back(directory):
    round_trip = RoundTrip(WordVocabulary(["a"]))
    text = from_documents([("a b", [3, 2]), ("a", [3])], 1, round_trip=round_trip)
    (row, *_) = evaluate(directory, text=text)[0].rows
    names = ("changed_documents", "changed_bytes", "unknown_tokens")
    assert [row[name] for name in names] == [1, 3, 1]
    (row, *_) = evaluate(directory)[0].rows  # Where it is not known, the row has none.
    assert not set(names) & set(row)


def record(directory, *sessions):
    values = {trained_tokens.KEY: sessions}
    files.write_json(str(directory / model_directory.RECORD), values)


def test_rows_have_the_flops_of_the_training_up_to_their_step(directory):
    """Those that training recorded; the evaluation has another length."""
    record(directory, [0, 100, 7, conventions.EXACT], [2, 50, 7, conventions.EXACT])
    rows, _ = evaluate(directory, flops_per_token=9)
    assert [row["training_flops"] for row in rows.rows] == [700, 1400, 1750]
    kept = Results(str(directory), "t_test_stream").rows
    assert [row["flops_per_token"] for row in kept] == [9] * 3


def test_flops_that_training_did_not_record_are_left_out(directory):
    record(directory, [0, 100, 7, conventions.EXACT], [2, 50])
    rows, _ = evaluate(directory, flops_per_token=9)
    assert [row.get("training_flops") for row in rows.rows] == [700, 1400, None]


def test_a_damaged_record_does_not_end_an_evaluation(directory):
    (directory / model_directory.RECORD).write_text("{")
    rows, scored = evaluate(directory)
    assert scored == [1.0, 2.0, 3.0]
    assert not any("training_flops" in row for row in rows.rows)


def test_a_session_that_begins_during_the_evaluation_has_its_own_batch(directory, monkeypatch):
    first = [0, 100, 7, conventions.EXACT]
    record(directory, first)
    restore = Scorer.restore

    def restore_and_go_on(self, path):
        restore(self, path)
        record(directory, first, [2, 50, 7, conventions.EXACT])

    monkeypatch.setattr(Scorer, "restore", restore_and_go_on)
    rows, _ = evaluate(directory)
    assert [row["training_flops"] for row in rows.rows] == [700, 1400, 1750]


def test_known_rows_without_the_cost_get_it(directory):
    evaluate(directory)
    rows, scored = evaluate(directory, flops_per_token=7)
    assert scored == [] and [row["flops_per_token"] for row in rows.rows] == [7] * 3
    assert not any("training_flops" in row for row in rows.rows)  # Their tokens were not recorded.
