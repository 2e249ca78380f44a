"""Packed examples give the outputs and gradients of their segments alone."""

import numpy as np
import pytest

from tests.layers import helpers

RNG = np.random.default_rng(1)
# Lengths of segments, some shorter than the convolution; there is padding at the end.
PARTS = [[7, 1, 2, 9, 3], [4, 4, 4, 1, 8]]


def pack():
    """Returns targets, sequence ids, and (row, slice) of each segment, in rows of 24."""
    targets = np.zeros([len(PARTS), 24], np.int32)
    ids = np.zeros_like(targets)
    slices = []
    for row, lengths in enumerate(PARTS):
        start = 0
        for number, length in enumerate(lengths, 1):
            part = slice(start, start + length)
            targets[row, part] = RNG.integers(2, 97, length)
            ids[row, part] = number
            slices.append((row, part))
            start += length
    return targets, ids, slices


def alone(targets, slices):
    """Returns each segment in a row of its own, padded with zeros."""
    rows = np.zeros([len(slices), 24], np.int32)
    for i, (row, part) in enumerate(slices):
        rows[i, : part.stop - part.start] = targets[row, part]
    return rows


@pytest.mark.parametrize("name", ["primer", "primer_ez"])
def test_logits_equal_those_of_the_segments(name):
    model, variables = helpers.golden_model(name)
    targets, ids, slices = pack()
    packed = helpers.call(model, variables, targets, sequence_id=ids)["logits"]
    parts = helpers.call(model, variables, alone(targets, slices))["logits"]
    for i, (row, part) in enumerate(slices):
        expected = parts[i, : part.stop - part.start]
        np.testing.assert_allclose(packed[row, part], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["primer", "primer_ez"])
def test_gradients_equal_those_of_the_segments(name):
    model, variables = helpers.golden_model(name, model={"loss_denominator": 10.0})
    targets, ids, slices = pack()
    settings = dict(mode="train", gradients=True)
    packed = helpers.call(model, variables, targets, sequence_id=ids, **settings)
    parts = helpers.call(model, variables, alone(targets, slices), **settings)
    np.testing.assert_allclose(packed["loss"], parts["loss"], rtol=1e-5)
    for variable, norm in helpers.by_prefix(parts, "gradnorm/").items():
        np.testing.assert_allclose(
            packed["gradnorm/" + variable], norm, rtol=1e-3, err_msg=variable
        )
