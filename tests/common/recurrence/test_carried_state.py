"""The state's variables, where a process makes no resource variables by itself."""

import mesh_tensorflow as mtf
import pytest
import tensorflow.compat.v1 as tf

from primer.common.recurrence import carried_state


@pytest.fixture
def reference_variables():
    """As `tf.disable_v2_behavior()` of t5's main, which every command calls."""
    enabled = tf.resource_variables_enabled()
    tf.disable_resource_variables()
    yield
    if enabled:
        tf.enable_resource_variables()


def test_a_read_of_the_state_is_not_its_buffer(reference_variables):
    """Of a reference variable it is: layers would read a part that is being written."""
    with tf.Graph().as_default():
        mesh = mtf.Mesh(mtf.Graph(), "mesh")
        state = carried_state.declare({"a": ((mtf.Dimension("memory_positions", 3),), tf.float32)})
        state.begin(mesh, [mtf.Dimension("batch", 2)])
        (variable,) = tf.global_variables()
        assert carried_state.is_part(variable.op.name) and not variable.trainable
        assert type(variable).__name__ == "ResourceVariable"
