"""Stored documents of a task: their orders, hosts, and what they report."""

import numpy as np
import pytest
import seqio

from primer.common import input_progress
from primer.data.objectives import stored_tokens
from primer.data.objectives.task_documents import TaskDocuments
from primer.errors import UsageError

IDS = [list(range(n, n + 5)) for n in range(10, 20)]


def make_tokens(documents=IDS):
    blocks = [(np.array([*ids, 1]), np.array([len(ids) + 1])) for ids in documents]
    return stored_tokens.Tokens(blocks, 259)


def read(dataset, number=None):
    dataset = dataset if number is None else dataset.take(number)
    return [example["targets"].tolist() for example in dataset.as_numpy_iterator()]


def documents(seed=7, num_epochs=1, shard=None, ids=IDS):
    return TaskDocuments("task", lambda: make_tokens(ids), seed, num_epochs, shard)


def first_column(found):
    return sum(found[0::2], [])


def test_columns_keep_the_order_of_documents_without_a_seed():
    text = [token for ids in IDS for token in [*ids, 1]]
    assert first_column(read(documents(None).columns(2, 10))) == text[:30]
    assert first_column(read(documents(7).columns(2, 10))) != text[:30]


@pytest.mark.parametrize("seed", [0, 7])
def test_a_seed_repeats_an_order(seed):
    def columns(seed):
        return read(documents(seed).columns(2, 10))

    assert columns(seed) == columns(seed) != columns(seed + 1)


def test_the_columns_are_reported():
    said = []
    with input_progress.reporting_to(input_progress.InputProgress(said.append)) as progress:
        documents().columns(2, 10)
    assert said == ["task: 60 tokens of 10 documents in 2 columns."]
    assert progress.columns == 2


def test_each_epoch_has_every_document_in_another_order():
    found = read(documents(num_epochs=3).dataset())
    epochs = [found[start : start + 10] for start in range(0, 30, 10)]
    assert all(sorted(epoch) == IDS for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != IDS
    assert read(documents(num_epochs=None).dataset(), 30) == found
    assert read(documents(None).dataset()) == IDS


def test_documents_of_any_length_come_as_they_are():
    mixed = [[], [5], list(range(3, 200)), [], [7, 8]]
    found = read(documents(None, ids=mixed, num_epochs=2).dataset())
    assert found == mixed * 2


@pytest.mark.parametrize("kind", ["dataset", "joined_rows", "window_rows"])
def test_hosts_divide_what_is_read(kind):
    def rows(shard=None):
        found = documents(3, 2, shard)
        return read(found.dataset() if kind == "dataset" else getattr(found, kind)(7))

    whole = rows()
    for number in range(3):
        assert rows(seqio.ShardInfo(number, 3)) == whole[number::3]


def test_a_split_without_documents_is_refused():
    for use in (TaskDocuments.dataset, lambda found: found.joined_rows(4)):
        with pytest.raises(UsageError, match="task has no document in this split"):
            use(documents(ids=[]))
