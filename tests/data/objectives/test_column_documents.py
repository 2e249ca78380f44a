"""Documents for `lm_stream`: order, seed, and what they report."""

import pytest
import seqio
import tensorflow as tf

from primer.common import input_progress
from primer.data.objectives.column_documents import ColumnDocuments


def make_documents():
    ids = tf.ragged.range(tf.range(10, 20), tf.range(10, 20) + 5)
    return tf.data.Dataset.from_tensor_slices(ids).map(lambda document: {"targets": document})


def rows(shuffle, seed):
    documents = ColumnDocuments(
        "task", make_documents, seqio.ByteVocabulary(), shuffle, seed, num_epochs=1, shard=None
    )
    return [example["targets"].tolist() for example in documents.rows(2, 10).as_numpy_iterator()]


def first_column(found):
    return sum(found[0::2], [])


def test_documents_keep_their_order_unless_they_are_shuffled():
    text = [token for n in range(10, 20) for token in [*range(n, n + 5), 1]]
    assert first_column(rows(False, 7)) == text[:30]
    assert first_column(rows(True, 7)) != text[:30]


@pytest.mark.parametrize("seed", [0, 7])
def test_a_seed_repeats_an_order(seed):
    assert rows(True, seed) == rows(True, seed) != rows(True, seed + 1)


def test_no_seed_draws_an_order_each_time():
    assert len({tuple(map(tuple, rows(True, None))) for _ in range(4)}) > 1


def test_the_size_of_the_text_is_reported():
    said = []
    with input_progress.reporting_to(input_progress.InputProgress(said.append)) as progress:
        rows(True, 7)
    assert said == [
        "task: reading the whole text once to lay it out in columns.",
        "task: 60 tokens of 10 documents in 2 columns.",
    ]
    assert progress.columns == 2
    assert (progress.describe_epochs(59), progress.describe_epochs(60)) == ("epoch 1", "epoch 2")
