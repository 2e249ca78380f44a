"""Tokens trained on, from the record of the sessions."""

import pytest

from primer.checkpoints import model_directory
from primer.checkpoints.description import trained_tokens
from primer.common import files


def sessions(tmp_path, *starts_and_tokens):
    """Returns the record after sessions of training."""
    for start, tokens in starts_and_tokens:
        record = {"wiring": {}, **trained_tokens.describe(str(tmp_path), start, tokens)}
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


def test_only_changes_are_recorded(tmp_path):
    record = sessions(tmp_path, (0, 100), (10, 100), (20, 50))
    assert record[trained_tokens.KEY] == [[0, 100], [20, 50]]
