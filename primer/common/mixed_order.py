"""Seeded orders, shares and numbers that are equal in every process and release of numpy."""

import numpy as np


def permutation(number: int, *key: int) -> np.ndarray:
    """Returns the numbers from 0 to `number` - 1 in the order of a key.

    Args:
        number: how many.
        key: whole numbers, as a seed and the number of an epoch; other keys give other orders.
    """
    return _random(key).permutation(number)


def share(number: int, index: int, shards: int, *key: int) -> np.ndarray:
    """Returns the items of one shard: one of each `shards` consecutive items.

    All shards together have each item once. Each shard is a stratified sample: of every stretch of
    the items it has its share, up to one item at each end.

    Args:
        number: the number of items.
        index: the shard, from 0.
        shards: the number of shards.
        key: as for `permutation`; without a key the items are index, index + shards, ...
    """
    rounds = np.arange(0, number, shards)
    shifts = _random(key).randint(shards, size=len(rounds)) if key else 0
    items = rounds + (index + shifts) % shards
    return items[items < number]


def uniform(shape: tuple[int, ...], *key: int) -> np.ndarray:
    """Returns numbers from 0 to below 1, [shape] float64; arguments as for `permutation`.

    They fill the shape in row-major order: a longer first dimension adds numbers at the end.
    """
    return _random(key).random_sample(shape)


def normal(shape: tuple[int, ...], *key: int) -> np.ndarray:
    """Returns numbers of the standard normal distribution, [shape] float64; as `uniform`."""
    return _random(key).standard_normal(shape)


def _random(key):
    # RandomState's numbers are the same in every release of numpy, default_rng's are not.
    return np.random.RandomState([part & 0xFFFFFFFF for part in key])
