"""Tokens trained on, from the record of the sessions."""

import pytest

from primer.checkpoints import model_directory
from primer.checkpoints.description import trained_tokens
from primer.common import files
from primer.cost import conventions, model_cost
from primer.cost.parameters import Parameters

COST = model_cost.ModelCost(Parameters(0, 0, 0, 0), 512, {"logits": 2.0})
LONGER = model_cost.ModelCost(Parameters(0, 0, 0, 0), 1024, {"logits": 3.0})


def sessions(tmp_path, *described):
    """Returns the record after sessions of training."""
    for session in described:
        record = {"wiring": {}, **trained_tokens.describe(str(tmp_path), *session)}
        files.write_json(str(tmp_path / model_directory.RECORD), record)
    return model_directory.read_record(str(tmp_path))


@pytest.mark.parametrize(
    "starts_and_tokens, step, tokens",
    [
        ([(0, 100)], 0, 0),
        ([(0, 100)], 30, 3000),
        ([(0, 100), (20, 100)], 30, 3000),
        ([(0, 100), (20, 50)], 30, 2500),
        ([(0, 100), (20, 50)], 20, 2000),
        ([(0, 100), (20, 50)], 10, 1000),
        ([(0, 100), (20, 50), (10, 10)], 30, 1200),  # From the checkpoint of step 10 again.
        ([(0, 100), (20, 50), (0, 10)], 30, 300),
        ([(20, 50)], 30, None),  # An earlier version trained up to step 20.
    ],
)
def test_each_session_counts_its_own_batches(tmp_path, starts_and_tokens, step, tokens):
    record = sessions(tmp_path, *starts_and_tokens)
    assert trained_tokens.up_to(record, step) == tokens


@pytest.mark.parametrize("record", [None, {"wiring": {}}])
def test_a_record_of_an_earlier_version_does_not_know(record):
    assert trained_tokens.up_to(record, 5) is None
    assert trained_tokens.flops_up_to(record, 5) is None


@pytest.mark.parametrize(
    "described, step, flops",
    [
        ([(0, 100, COST)], 30, 100 * 30 * 6),
        ([(0, 100, COST), (20, 100, LONGER)], 30, 100 * (20 * 6 + 10 * 9)),
        ([(0, 100, COST), (20, 100, None)], 20, 100 * 20 * 6),
        ([(0, 100, COST), (20, 100, None)], 21, None),
        ([(0, 100, COST), (20, 50, COST)], 0, 0),
    ],
)
def test_each_session_has_the_flops_of_its_own_length(tmp_path, described, step, flops):
    assert trained_tokens.flops_up_to(sessions(tmp_path, *described), step) == flops


def test_flops_of_another_convention_are_not_added():
    record = {trained_tokens.KEY: [[0, 100, 6, "6N"]]}
    assert trained_tokens.flops_up_to(record, 5) is None
    assert trained_tokens.up_to(record, 5) == 500


@pytest.mark.parametrize("sizes, tokens", [([4, 8], 32), ([3, 4, 8], 32)])
def test_the_tokens_of_a_batch_are_those_of_one_member(sizes, tokens):
    assert trained_tokens.of_batch(sizes) == tokens


def test_only_changes_are_recorded(tmp_path):
    record = sessions(tmp_path, (0, 100), (10, 100), (20, 50), (30, 50, COST), (40, 50, COST))
    exact = [6, conventions.EXACT]
    assert record[trained_tokens.KEY] == [[0, 100], [20, 50], [30, 50, *exact]]
