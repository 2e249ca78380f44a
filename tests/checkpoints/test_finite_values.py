"""Values that are not finite are found in sessions and in files."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files, finite_values
from tests.evaluation import small_checkpoints

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "value, finite",
    [
        ([1.0, -2.0], True),
        ([1.0, NAN], False),
        ([INF, -INF], False),
        ([-INF, 1.0], False),
        ([3e38, 3e38], True),  # Only its sum is infinite.
        ([], True),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, tf.bfloat16.as_numpy_dtype])
def test_every_element_counts(value, finite, dtype):
    assert finite_values.is_finite(np.array(value, np.float32).astype(dtype)) is finite


@pytest.mark.parametrize("part_bytes", [1, 1 << 28])
def test_the_first_variable_of_a_session_is_named(monkeypatch, part_bytes):
    monkeypatch.setattr(finite_values, "_PART_BYTES", part_bytes)
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        names = [
            tf.get_variable(name, initializer=tf.constant(value), use_resource=resource)
            for name, value, resource in (
                ("step", 3, True),
                ("a", [1.0, 2.0], False),
                ("b", [1.0, NAN], True),
                ("c", [INF], True),
            )
        ]
        sess.run(tf.global_variables_initializer())
        graph.finalize()
        assert finite_values.first_in_session(sess, names) == "b"
        assert finite_values.first_in_session(sess, names[:2]) is None


def test_the_first_name_of_a_file_is_found(tmp_path):
    values = {"step": 3, "a": np.float32(NAN), "b": np.float32(1)}
    reader = checkpoint_files.open_reader(small_checkpoints.save(tmp_path, 1, values))
    assert finite_values.first_in_file(reader, ["step", "b", "none", "a"]) == "a"
    assert finite_values.first_in_file(reader, ["step", "b"]) is None
