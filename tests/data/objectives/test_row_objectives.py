"""The rows that each objective makes of small texts, against numpy on the same bytes."""

import numpy as np
import pytest
import seqio
import tensorflow as tf

from primer.data import tasks  # noqa: F401
from primer.data.objectives import train_rows
from primer.errors import UsageError
from tests.data.objectives import helpers


def test_lm_documents_ends_documents_and_not_rows(objective, lines):
    objective("lm_documents")
    assert helpers.rows() == helpers.cut(helpers.joined(lines))


def test_lm_documents_continues_rows_across_epochs(objective, lines):
    objective("lm_documents")
    twice = helpers.cut(helpers.joined(lines * 2))
    assert helpers.rows(num_epochs=2) == twice
    assert helpers.rows(len(twice) - 1, num_epochs=None) == twice[:-1]


def test_a_shuffled_epoch_has_the_same_documents_in_the_order_of_the_seed(objective, lines):
    objective("lm_documents")
    first, again, other = (helpers.rows(shuffle=True, seed=seed) for seed in (3, 3, 4))
    assert first == again != other
    flat = sorted(token for row in first for token in row)
    assert flat == sorted(helpers.joined(lines).tolist())


def test_chunks_cut_each_document(objective, lines):
    objective("chunks")
    expected = []
    for text in lines:
        expected += helpers.cut(helpers.joined([text]))
        expected[-1] += [0] * (helpers.LENGTH - len(expected[-1]))
    assert helpers.rows() == expected


def test_documents_random_takes_windows_anywhere(objective, lines):
    objective("documents_random")
    seen = {n: set() for n in range(50)}
    for number, row in enumerate(helpers.rows(num_epochs=40, seed=5)):
        ids = helpers.joined([lines[number % 50]])
        starts = [
            s
            for s in range(max(len(ids) - helpers.LENGTH, 0) + 1)
            if ids[s : s + helpers.LENGTH].tolist() == row
        ]
        assert starts
        seen[number % 50].update(starts)
    assert helpers.rows(num_epochs=2, seed=5) == helpers.rows(num_epochs=2, seed=5)
    assert helpers.rows(num_epochs=2, seed=5) != helpers.rows(num_epochs=2, seed=6)
    possible = [max(len(text) + 1 - helpers.LENGTH, 0) + 1 for text in lines]
    few = [n for n in range(50) if 1 < possible[n] < 6]
    assert few and all(seen[n] == set(range(possible[n])) for n in few)


def test_documents_random_stitches(objective, lines):
    objective("documents_random", "documents_random.stitch = 5")
    for number, row in enumerate(helpers.rows(seed=5)):
        text = " ".join(map(str, helpers.joined(lines[5 * number : 5 * number + 5])))
        assert len(row) == helpers.LENGTH and " ".join(map(str, row)) in text
    assert number == 9


@pytest.mark.parametrize("columns", [1, 4, 7])
def test_lm_stream_columns_continue_from_batch_to_batch(objective, lines, columns):
    objective("lm_stream", f"lm_stream.columns = {columns}")
    ids = helpers.joined(lines)
    expected = helpers.stream(columns, ids=ids)
    steps = 2 * len(ids) // (columns * helpers.LENGTH)  # Two epochs.
    batches = np.array(helpers.rows(steps * columns, num_epochs=None)).reshape(
        steps, columns, helpers.LENGTH
    )
    for column in range(columns):
        text = batches[:, column].reshape(-1)
        np.testing.assert_array_equal(text, expected[column][: len(text)])


def test_a_finite_lm_stream_has_every_token_once(objective, lines):
    objective("lm_stream", "lm_stream.columns = 4")
    got = helpers.rows()
    for column, expected in enumerate(helpers.stream(4, epochs=1, ids=helpers.joined(lines))):
        assert sum(got[column::4], []) == expected.tolist()


def test_lm_stream_has_another_order_of_documents_each_epoch(objective, lines):
    objective("lm_stream", "lm_stream.columns = 1")
    size = len(helpers.joined(lines))
    text = sum(
        helpers.rows(2 * size // helpers.LENGTH + 1, shuffle=True, seed=2, num_epochs=None), []
    )
    epochs = text[:size], text[size : 2 * size]
    for epoch in epochs:
        documents = bytes(x - 3 if x > 2 else 10 for x in epoch).decode().split("\n")[:-1]
        assert sorted(documents) == sorted(lines) and documents != lines
    assert epochs[0] != epochs[1]
    again = sum(
        helpers.rows(2 * size // helpers.LENGTH + 1, shuffle=True, seed=2, num_epochs=None), []
    )
    other = sum(
        helpers.rows(2 * size // helpers.LENGTH + 1, shuffle=True, seed=3, num_epochs=None), []
    )
    assert text == again != other


def test_hosts_divide_the_columns(objective, lines):
    objective("lm_stream", "lm_stream.columns = 6")
    options = {"shuffle": True, "seed": 1, "num_epochs": None}
    whole = np.array(helpers.rows(60, **options)).reshape(10, 6, helpers.LENGTH)
    for host in range(2):
        shard = seqio.ShardInfo(index=host, num_shards=2)
        part = np.array(helpers.rows(30, shard_info=shard, **options)).reshape(
            10, 3, helpers.LENGTH
        )
        np.testing.assert_array_equal(part, whole[:, 3 * host : 3 * host + 3])
    with pytest.raises(UsageError, match="columns is 6; expected a multiple of the 4 hosts"):
        helpers.rows(1, shard_info=seqio.ShardInfo(index=0, num_shards=4), **options)


@pytest.mark.parametrize(
    "bindings, message",
    [
        (["lm_stream.columns = 0"], "lm_stream.columns = 0"),
        (["lm_stream.columns = 500"], "too few for 500 columns"),
        (["unsupervised.preprocessors = [@lm_documents, @lm_stream]"], "expected lm_stream alone"),
    ],
)
def test_an_invalid_stream_is_refused(objective, bindings, message):
    objective("lm_stream", *bindings)
    with pytest.raises(UsageError, match=message):
        helpers.rows(1)


def test_the_last_gin_file_decides(objective, lines):
    """T5's `lm` gives the same rows after another objective has been chosen."""
    objective("lm")
    plain = list(train_rows.train_rows({"inputs": 1, "targets": helpers.LENGTH}).take(1))
    assert int(plain[0]["targets"][-1]) in (0, helpers.EOS)
    expected = helpers.rows(20, seed=1, num_epochs=None)
    objective("lm_stream")
    assert not seqio.TaskRegistry.get("text").output_features["targets"].add_eos
    objective("lm")
    assert helpers.rows(20, seed=1, num_epochs=None) == expected
    assert all(row[-1] == helpers.EOS for row in expected)


def test_a_task_that_ends_its_rows_is_refused(objective, t5_gin):
    from t5.data import preprocessors

    features = {"targets": seqio.Feature(seqio.ByteVocabulary(), add_eos=True)}
    plain = {"targets": tf.data.Dataset.from_tensors({"targets": [5, 6]})}["targets"]
    for name in ("lm_documents", "chunks", "documents_random", "lm_stream"):
        objective(name, "lm_stream.columns = 2")
        with pytest.raises(UsageError, match="DocumentTask"):
            preprocessors.unsupervised(
                plain, output_features=features, sequence_length={"targets": helpers.LENGTH}
            )
