"""Positions in the segments of packed examples."""

import mesh_tensorflow as mtf
import numpy as np
import pytest

from primer.layers import positions
from tests.layers import helpers, single_layer

IDS = np.array([[1, 1, 1, 2, 2, 3], [1, 2, 2, 2, 0, 0]], np.int32)


def context_of(b, **settings):
    x = b.put(np.ones([2, 6, 4], np.float32), *single_layer.NAMES)
    context = single_layer.context_of(b, x)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def test_positions_restart_with_each_segment():
    with helpers.bench() as b:
        context = context_of(b, sequence_id=b.put(IDS, "batch", "length"))
        first = positions.in_segment(context)
        assert positions.in_segment(context) is first  # Layers share it.
        values = b.run({"positions": first})["positions"]
    np.testing.assert_array_equal(values, helpers.positions_in_segments(IDS))


def test_given_positions_have_priority():
    with helpers.bench() as b:
        given = b.put(IDS, "batch", "length")
        context = context_of(b, position=given, position_is_default=False, sequence_id=given)
        assert positions.in_segment(context) is given


@pytest.mark.parametrize("sequence_id", [None, 1])
def test_without_segments_the_position_is_the_index(sequence_id):
    """Mesh-TF gives a number for the sequence_id of unpacked examples in some modes."""
    with helpers.bench() as b:
        context = context_of(b, sequence_id=sequence_id)
        assert positions.segment_id(context) is None
        assert positions.in_segment(context) is None


def test_subsequences_have_priority_over_sequences():
    with helpers.bench() as b:
        ids, finer = b.put(IDS, "batch", "length"), b.put(IDS + 1, "batch", "length")
        assert positions.segment_id(context_of(b, sequence_id=ids)) is ids
        assert positions.segment_id(context_of(b, sequence_id=ids, subsequence_id=finer)) is finer


def test_a_segment_id_without_length_is_none():
    """As in incremental mode, where there is one position."""
    with helpers.bench() as b:
        context = context_of(b, sequence_id=b.put(IDS[:, 0], "batch"))
        assert positions.segment_id(context) is None


def test_memory_length_is_as_long_as_the_text():
    with helpers.bench() as b:
        assert positions.memory_length_dim(context_of(b)) == mtf.Dimension("memory_length", 6)
