"""Rows in random order: every token once an epoch, and each source's share in any 50 batches."""

import collections

import numpy as np
import pytest

from primer.data.objectives import shuffled_rows, stored_tokens
from primer.data.objectives.epoch_streams import EpochStreams

# Text shares of four sources, of which each token is the source's number.
SHARES = {2: 0.54, 3: 0.20, 4: 0.15, 5: 0.11}
TOKENS = 400_000
LENGTH = 32
EOS = 1


def sources(document_length):
    """Four sources one after the other, of documents of about this length."""
    blocks = []
    for source, share in SHARES.items():
        size = int(TOKENS * share)
        for start in range(0, size, document_length):
            ids = np.full(min(document_length, size - start), source)
            ids[-1] = EOS
            blocks.append((ids, np.array([len(ids)])))
    return stored_tokens.Tokens(blocks, 100)


def joined(tokens, seed=3, length=LENGTH):
    return shuffled_rows.JoinedRows(EpochStreams("task", tokens, seed), length, seed)


def windows(tokens, seed=3, length=LENGTH):
    return shuffled_rows.WindowRows(tokens, length, seed)


@pytest.mark.parametrize("document_length", [TOKENS, 40])
@pytest.mark.parametrize("make", [joined, windows])
def test_any_50_batches_have_the_shares_of_the_sources(make, document_length):
    """Four long files end to end, and their lines; batches of 8 rows, over two epochs."""
    rows = make(sources(document_length))
    found = [rows.row(number) for number in range(rows.count(2))]
    counts = np.array([[np.sum(row == source) for source in SHARES] for row in found])
    stretch = 50 * 8
    for start in range(0, len(found) - stretch, 250):
        sums = counts[start : start + stretch].sum(0)
        for source, number in zip(SHARES, sums, strict=True):
            share = SHARES[source]
            error = np.sqrt(share * (1 - share) / stretch)
            assert abs(number / sums.sum() - share) < 4 * error, (start, source)


def small():
    blocks = [(np.arange(10 * n, 10 * n + n), np.array([n])) for n in range(1, 12)]
    return stored_tokens.Tokens(blocks, 1000)  # 66 tokens, all different.


@pytest.mark.parametrize("length", [1, 4, 7, 11, 66, 100])
def test_joined_rows_have_every_token_once_an_epoch(length):
    rows = joined(small(), length=length)
    for epochs in (1, 2, 5):
        found = [rows.row(number, epochs) for number in range(rows.count(epochs))]
        counts = collections.Counter(np.concatenate(found).tolist())
        assert counts == {token: epochs for n in range(1, 12) for token in range(10 * n, 11 * n)}
        assert sum(len(row) < length for row in found) <= 1
    # Without an end, a row that begins in one epoch goes on in the next.
    endless = [rows.row(number) for number in range(rows.count(5))]
    assert all(len(row) == length for row in endless)
    assert [row.tolist()[: len(last)] for row, last in zip(endless, found, strict=True)] == [
        row.tolist() for row in found
    ]


def first_rows(make, epoch=0, seed=3):
    rows = make(small(), seed=seed, length=11)
    return [rows.row(number + epoch * rows.count(1)).tolist() for number in range(6)]


@pytest.mark.parametrize("make", [joined, windows])
def test_each_epoch_has_another_order_of_rows(make):
    assert first_rows(make) == first_rows(make) != first_rows(make, epoch=1)
    assert first_rows(make) != first_rows(make, seed=4)
    assert first_rows(make, seed=None)[0][0] == 10


def test_windows_cover_each_document():
    rows = windows(small(), length=4)
    for epoch in range(2):
        found = [rows.row(n + epoch * rows.windows) for n in range(rows.windows)]
        expected = []
        for n in range(1, 12):
            ids = [*range(10 * n, 11 * n), *[0] * (-n % 4)]
            expected += [ids[start : start + 4] for start in range(0, len(ids), 4)]
        assert sorted(row.tolist() for row in found) == sorted(expected)
        assert [row.tolist() for row in found] != expected
