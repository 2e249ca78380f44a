"""Columns of a text, against numpy's cutting of the joined documents."""

import tempfile

import numpy as np
import pytest
import seqio
import tensorflow as tf

from primer.data.objectives import token_columns
from primer.errors import RunError, UsageError

DOCUMENTS = [list(range(10 * n, 10 * n + n)) for n in range(1, 12)]  # 66 tokens.


def tokens(documents=DOCUMENTS, vocab_size=1000):
    blocks = [(np.array(ids, np.int32), np.array([len(ids)])) for ids in documents]
    return token_columns.Tokens(blocks, vocab_size)


def column(columns, number, steps, num_epochs=None):
    rows = [columns.row(step, number, num_epochs) for step in range(steps)]
    return np.concatenate(rows).tolist()


@pytest.mark.parametrize("number, length", [(1, 4), (4, 16), (5, 3), (7, 9)])
def test_a_column_repeats_its_part_of_the_text(number, length):
    columns = token_columns.Columns(tokens(), number, length, seed=None)
    assert columns.total == 66
    for index, part in enumerate(np.array_split(np.concatenate(DOCUMENTS), number)):
        assert columns.size(index) == len(part)
        expected = np.tile(part, 3)
        steps = len(expected) // length
        assert column(columns, index, steps) == expected[: steps * length].tolist()
        assert column(columns, index, 99, num_epochs=3) == expected.tolist()


def test_each_epoch_has_all_documents_in_another_order():
    columns = token_columns.Columns(tokens(), 1, 66, seed=3)
    epochs = [columns.row(epoch, 0).tolist() for epoch in range(3)]
    assert all(sorted(epoch) == sorted(sum(DOCUMENTS, [])) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 3
    for ids in DOCUMENTS:  # Documents stay whole.
        start = epochs[1].index(ids[0])
        assert epochs[1][start : start + len(ids)] == ids
    again = token_columns.Columns(tokens(), 1, 66, seed=3)
    assert again.row(1, 0).tolist() == epochs[1]
    assert token_columns.Columns(tokens(), 1, 66, seed=4).row(1, 0).tolist() != epochs[1]


def test_a_column_has_at_least_a_row():
    assert token_columns.Columns(tokens(), 6, 11, None).columns == 6
    with pytest.raises(UsageError, match="66 tokens, too few for 6 columns .* row of 12"):
        token_columns.Columns(tokens(), 6, 12, None)


@pytest.mark.parametrize("vocab_size, dtype", [(1 << 16, np.uint16), ((1 << 16) + 1, np.int32)])
def test_ids_take_the_bytes_that_the_vocabulary_needs(vocab_size, dtype):
    found = tokens([[5, 65_535], [], [7]], vocab_size)
    assert found.ids.dtype == dtype and found.ids.tolist() == [5, 65_535, 7]
    assert found.starts.tolist() == [0, 2, 2, 3]
    assert tokens([], vocab_size).ids.tolist() == []


def test_a_full_disk_is_named(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: open("/dev/full", "wb"))  # noqa: SIM115
    with pytest.raises(
        RunError, match=r"cannot be written to .*No space.*TMPDIR .*2 bytes a token"
    ):
        tokens()


def test_documents_are_collected_with_end_tokens():
    def make_documents():
        ids = tf.ragged.constant(DOCUMENTS * 30, dtype=tf.int32)
        dataset = tf.data.Dataset.from_tensor_slices(ids)
        return dataset.map(lambda document: {"targets": document})

    found = token_columns.collect_tokens(make_documents, seqio.ByteVocabulary())
    assert found.ids.tolist() == [x for ids in DOCUMENTS * 30 for x in [*ids, 1]]
    lengths = [len(ids) + 1 for ids in DOCUMENTS * 30]
    assert np.diff(found.starts).tolist() == lengths


def rows(columns, **options):
    dataset = token_columns.row_dataset(columns, **options)
    return [example["targets"].tolist() for example in dataset.as_numpy_iterator()]


def test_a_finite_data_set_has_batch_after_batch():
    columns = token_columns.Columns(tokens(), 4, 5, None)
    expected = [columns.row(step, index, 2).tolist() for step in range(7) for index in range(4)]
    assert rows(columns, num_epochs=2) == expected
    parts = [rows(columns, num_epochs=2, shard=seqio.ShardInfo(n, 2)) for n in range(2)]
    assert parts[0][:4] == [expected[0], expected[1], expected[4], expected[5]]
    assert sorted(parts[0] + parts[1]) == sorted(expected)
    with pytest.raises(UsageError, match="lm_stream.columns is 4; expected a multiple of the 3"):
        rows(columns, shard=seqio.ShardInfo(0, 3))
