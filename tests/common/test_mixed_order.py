"""Seeded orders, and shares that sample every stretch of the items."""

import numpy as np
import pytest

from primer.common import mixed_order

NORMAL = [[-0.20099112, -0.94661843], [0.04002267, -0.17314403]]


def test_orders_follow_their_key():
    first = mixed_order.permutation(1000, 3, 1)
    assert sorted(first) == list(range(1000))
    assert first.tolist() == mixed_order.permutation(1000, 3, 1).tolist()
    for other in ((3, 2), (4, 1), (3,), (3, 1, 0), (-3, 1)):
        assert first.tolist() != mixed_order.permutation(1000, *other).tolist()


def test_normal_numbers_are_those_of_every_release():
    found = mixed_order.normal((2, 2), 0, 1)
    np.testing.assert_allclose(found, NORMAL, atol=1e-8)
    assert (mixed_order.normal((2, 2), 0, 2) != found).all()


def test_orders_are_those_of_every_release():
    assert mixed_order.permutation(8, 0, 1).tolist() == [0, 5, 6, 1, 3, 2, 4, 7]
    assert mixed_order.share(20, 1, 4, 0, 1).tolist() == [0, 5, 11, 15, 16]


@pytest.mark.parametrize("key", [(), (0,), (5, 1)])
@pytest.mark.parametrize("number, shards", [(0, 3), (2, 3), (10, 1), (100, 7), (96, 16)])
def test_shares_divide_the_items(number, shards, key):
    shares = [mixed_order.share(number, index, shards, *key) for index in range(shards)]
    assert sorted(np.concatenate(shares)) == list(range(number))
    for own in shares:  # One of each `shards` items.
        stretches = (own // shards).tolist()
        assert stretches == sorted(set(stretches)) and len(own) >= number // shards


def test_without_a_key_the_items_are_in_turn():
    assert mixed_order.share(8, 1, 3).tolist() == [1, 4, 7]
