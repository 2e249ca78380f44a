"""Losses in the text's order, from windows that are scored batch by batch."""

import numpy as np
import pytest

from primer.evaluation import tokenized_split
from primer.evaluation.windows import cutting, losses


class IdScorer:
    """Stands in for a scorer: a token costs its id, and even tokens are the first choice."""

    rows = 2

    def nats(self, targets, segments):
        return np.where(segments > 0, targets, 0).astype(np.float32)

    def nats_and_best(self, targets, segments):
        return self.nats(targets, segments), (segments > 0) & (targets % 2 == 0)


def text():
    return tokenized_split.from_tokens(np.arange(3, 17, dtype=np.int32), [9, 2, 3], 1)


@pytest.mark.parametrize(
    "windows",
    [cutting.stream(text(), 4), cutting.packed(text(), 4), cutting.sliding(text(), 4, 3)],
    ids=["stream", "packed", "sliding"],
)
def test_each_token_has_its_own_loss(windows):
    shares = []
    nats = losses.token_nats(IdScorer(), windows, text().ids, shares.append)
    np.testing.assert_array_equal(nats, text().ids)
    assert nats.dtype == np.float32
    assert shares == [
        min(n, windows.num_rows) / windows.num_rows for n in range(2, len(shares) * 2 + 1, 2)
    ]
    again, are_best = losses.token_nats_and_best(IdScorer(), windows, text().ids)
    np.testing.assert_array_equal(again, nats)
    np.testing.assert_array_equal(are_best, text().ids % 2 == 0)


def test_context_alone_has_no_loss():
    starts, lengths, contexts = np.array([0, 5]), np.array([4, 3]), np.array([2, 0])
    windows = cutting.packed_pieces(4, starts, lengths, contexts)
    ids = np.arange(10, 18, dtype=np.int32)
    assert losses.token_nats(IdScorer(), windows, ids).tolist() == [0, 0, 12, 13, 0, 15, 16, 17]
    _, are_best = losses.token_nats_and_best(IdScorer(), windows, ids)
    assert np.flatnonzero(are_best).tolist() == [2, 6]
