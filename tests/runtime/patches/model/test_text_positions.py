"""Positions of packed texts reach layers of models without a table of positions."""

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.common import graph_marks
from tests.layers import helpers


@pytest.mark.parametrize("by_name", [True, False], ids=["by name", "in order"])
def test_the_last_call_records_its_positions(by_name):
    model = helpers.build_model("transformer_vanilla", num_layers=1)
    positions = np.array([[0, 1, 0, 1]], np.int32)
    with helpers.bench() as b:
        ids = b.put(np.array([[5, 6, 7, 8]], np.int32), "batch", "length")
        position = b.put(positions, "batch", "length")
        dtype = mtf.VariableDType(tf.float32)
        with tf.variable_scope("", reuse=tf.AUTO_REUSE):
            if by_name:
                model.call_simple(ids, ids, True, "eval", dtype, position=position)
            else:
                model.call_simple(ids, ids, True, "eval", dtype, None, None, position)
            assert graph_marks.text_positions() is position
            model.call_simple(ids, ids, True, "eval", dtype)
        assert graph_marks.text_positions() is None
