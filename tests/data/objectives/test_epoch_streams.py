"""The stream of each epoch, and the orders that a seed gives."""

import threading

import numpy as np
import pytest

from primer.data.objectives import epoch_streams, stored_tokens

DOCUMENTS = [[1], [12, 1], [13, 14, 1], [1], [15, 1]]


def streams(seed):
    blocks = [(np.array(ids), np.array([len(ids)])) for ids in DOCUMENTS]
    return epoch_streams.EpochStreams("task", stored_tokens.Tokens(blocks, 100), seed)


def split(ids):
    """The documents of a stream, each with its end token."""
    ends = [place + 1 for place, token in enumerate(ids) if token == 1]
    return [ids[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def test_a_seed_decides_the_order_of_each_epoch():
    orders = [epoch_streams.permutation(50, 3, epoch).tolist() for epoch in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1] and sorted(orders[1]) == list(range(50))
    assert epoch_streams.permutation(50, 4, 0).tolist() != orders[0]
    assert epoch_streams.permutation(50, 3, 0, 1).tolist() != orders[0]
    assert epoch_streams.permutation(4, None, 7).tolist() == [0, 1, 2, 3]
    # The same in every release: results of a seed stay comparable.
    assert epoch_streams.permutation(6, 3, 1).tolist() == RECORDED


RECORDED = [1, 0, 3, 2, 4, 5]


@pytest.mark.parametrize("begin, end", [(0, 27), (3, 20), (8, 10), (26, 27), (5, 5)])
def test_epochs_follow_each_other(begin, end):
    found = streams(3)
    epochs = [found.read(9 * epoch, 9 * epoch + 9).tolist() for epoch in range(3)]
    assert all(sorted(split(ids)) == sorted(DOCUMENTS) for ids in epochs)
    assert len(set(map(tuple, epochs))) == 3
    assert found.read(begin, end).tolist() == sum(epochs, [])[begin:end]
    for epoch, ids in enumerate(epochs):
        assert [found.document(epoch, place).tolist() + [1] for place in range(5)] == split(ids)


def test_without_a_seed_epochs_repeat_the_order_of_the_documents():
    found = streams(None)
    assert found.read(0, 18).tolist() == sum(DOCUMENTS, []) * 2
    assert found.read(5, 11).tolist() == (sum(DOCUMENTS, []) * 2)[5:11]
    assert found.document(1, 2).tolist() == [13, 14]


def test_an_epoch_is_computed_once_for_all_threads():
    calls = []

    def make(epoch):
        calls.append(epoch)
        return epoch * 10

    of_epoch = epoch_streams.kept_for_epochs(make)
    threads = [threading.Thread(target=of_epoch, args=(2,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert of_epoch(2) == 20 and calls == [2]
