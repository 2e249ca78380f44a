"""Columns of a text, against numpy's cutting of the joined documents."""

import numpy as np
import pytest
import seqio

from primer.data.objectives import segment_lengths, stored_tokens, token_columns
from primer.data.objectives.epoch_streams import EpochStreams
from primer.errors import UsageError

DOCUMENTS = [list(range(10 * n, 10 * n + n)) for n in range(1, 12)]  # 66 tokens.


def make_columns(number, length, seed):
    blocks = [(np.array(ids, np.int32), np.array([len(ids)])) for ids in DOCUMENTS]
    streams = EpochStreams("task", stored_tokens.Tokens(blocks, 1000), seed)
    return token_columns.Columns(streams, number, length)


def column(columns, number, steps, num_epochs=None):
    rows = [columns.row(step, number, num_epochs) for step in range(steps)]
    return np.concatenate(rows).tolist()


@pytest.mark.parametrize("number, length", [(1, 4), (4, 16), (5, 3), (7, 9)])
def test_a_column_repeats_its_part_of_the_text(number, length):
    columns = make_columns(number, length, seed=None)
    assert columns.total == 66
    for index, part in enumerate(np.array_split(np.concatenate(DOCUMENTS), number)):
        assert columns.size(index) == len(part)
        expected = np.tile(part, 3)
        steps = len(expected) // length
        assert column(columns, index, steps) == expected[: steps * length].tolist()
        assert column(columns, index, 99, num_epochs=3) == expected.tolist()


def test_each_epoch_has_all_documents_in_another_order():
    columns = make_columns(1, 66, seed=3)
    epochs = [columns.row(epoch, 0).tolist() for epoch in range(3)]
    assert all(sorted(epoch) == sorted(sum(DOCUMENTS, [])) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 3
    for ids in DOCUMENTS:  # Documents stay whole.
        start = epochs[1].index(ids[0])
        assert epochs[1][start : start + len(ids)] == ids
    again = make_columns(1, 66, seed=3)
    assert again.row(1, 0).tolist() == epochs[1]
    assert make_columns(1, 66, seed=4).row(1, 0).tolist() != epochs[1]


def test_a_column_has_at_least_a_row():
    assert make_columns(6, 11, None).columns == 6
    with pytest.raises(UsageError, match="66 tokens, too few for 6 columns .* row of 12"):
        make_columns(6, 12, None)


def rows(columns, **options):
    dataset = token_columns.column_dataset(columns, **options)
    return [example["targets"].tolist() for example in dataset.as_numpy_iterator()]


def test_a_finite_data_set_has_batch_after_batch():
    columns = make_columns(4, 5, None)
    expected = [columns.row(step, index, 2).tolist() for step in range(7) for index in range(4)]
    assert rows(columns, num_epochs=2) == expected
    parts = [rows(columns, num_epochs=2, shard=seqio.ShardInfo(n, 2)) for n in range(2)]
    assert parts[0][:4] == [expected[0], expected[1], expected[4], expected[5]]
    assert sorted(parts[0] + parts[1]) == sorted(expected)
    with pytest.raises(UsageError, match="lm_stream.columns is 4; expected a multiple of the 3"):
        rows(columns, shard=seqio.ShardInfo(0, 3))


VARIATION = segment_lengths.Variation(6, 2.0, 2, 12, 0.3)


def varied_columns(number, seed=5):
    blocks = [(np.array(ids, np.int32), np.array([len(ids)])) for ids in DOCUMENTS]
    streams = EpochStreams("task", stored_tokens.Tokens(blocks, 1000), None)
    lengths = segment_lengths.VariedLengths(VARIATION, seed)
    return token_columns.Columns(streams, number, VARIATION.longest, lengths)


def test_rows_of_varied_lengths_have_every_token_once():
    """Two epochs, in a finite data set; all rows of a step but the last one are as long."""
    columns = varied_columns(4)
    found = rows(columns, num_epochs=2)
    for index, part in enumerate(np.array_split(np.concatenate(DOCUMENTS), 4)):
        assert sum(found[index::4], []) == np.tile(part, 2).tolist()
    steps = [set(map(len, found[start : start + 4])) for start in range(0, len(found), 4)]
    assert all(len(lengths) == 1 for lengths in steps[:-1])
    assert len(set.union(*steps)) > 3 and max(map(max, steps)) <= VARIATION.longest


def test_hosts_divide_the_rows_of_varied_lengths():
    columns = varied_columns(4)
    whole = rows(columns, num_epochs=3)
    parts = [rows(varied_columns(4), num_epochs=3, shard=seqio.ShardInfo(n, 2)) for n in range(2)]
    for step in range(len(whole) // 4):
        both = parts[0][2 * step : 2 * step + 2] + parts[1][2 * step : 2 * step + 2]
        assert both == whole[4 * step : 4 * step + 4]


def test_a_row_of_varied_length_is_computed_from_its_number():
    whole = rows(varied_columns(4), num_epochs=5)
    resumed = token_columns.host_rows(varied_columns(4), 5)
    assert [resumed.row(number).tolist() for number in range(17, resumed.count())] == whole[17:]
    other = rows(varied_columns(4, seed=6), num_epochs=5)
    assert list(map(len, other[:40])) != list(map(len, whole[:40]))


@pytest.mark.parametrize("make", [lambda: make_columns(4, 5, None), lambda: varied_columns(4)])
def test_the_epoch_of_each_token(make):
    """Of 66 tokens in 4 columns: 17, 17, 16 and 16 in an epoch."""
    columns = make()
    for index, size in enumerate([17, 17, 16, 16]):
        found = np.concatenate([columns.epochs(step, index, 3) for step in range(40)])
        assert found.tolist() == np.repeat([0, 1, 2], size).tolist()
        assert all(
            len(columns.epochs(step, index)) == len(columns.row(step, index)) for step in range(9)
        )
