"""The fingerprint of a graph depends on the whole computation, but not on names."""

import pytest
import tensorflow.compat.v1 as tf

from tests.graph_fingerprint import fingerprint


@pytest.fixture(params=[False, True], ids=["v1", "functional"], autouse=True)
def control_flow(request):
    """Runs tests with loops as graph operations (as in Mesh-TensorFlow), and as functions."""
    before = tf.control_flow_v2_enabled()
    set_to = {False: tf.disable_control_flow_v2, True: tf.enable_control_flow_v2}
    set_to[request.param]()
    yield
    set_to[before]()


def digest(build):
    with tf.Graph().as_default() as graph:
        build()
    return fingerprint(graph)["digest"]


def model(scope="", width=4, factor=2.0, swapped=False, ordered=True, trips=3):
    """Builds a difference, a loop that doubles it, and an assignment that depends on the loop."""
    with tf.name_scope(scope or "model"):
        x = tf.placeholder(tf.float32, [2, width], f"{scope}x")
        w = tf.ones([2, width])
        difference = x - w if not swapped else w - x
        loop = tf.while_loop(
            lambda i, value: i < trips, lambda i, value: (i + 1, value * factor), [0, difference]
        )
        counter = tf.Variable(0.0, use_resource=True, name=f"{scope}counter")
        with tf.control_dependencies([loop[1]] if ordered else []):
            counter.assign_add(1.0)


def test_names_do_not_change_the_digest():
    assert digest(model) == digest(lambda: model("another"))


@pytest.mark.parametrize(
    "change",
    [{"width": 5}, {"factor": 3.0}, {"swapped": True}, {"ordered": False}, {"trips": 4}],
    ids=str,
)
def test_shapes_constants_order_and_control_flow_change_the_digest(change):
    assert digest(model) != digest(lambda: model(**change))


def test_operations_are_counted_by_type():
    with tf.Graph().as_default() as graph:
        tf.placeholder(tf.float32, []) + tf.constant(1.0)
    assert fingerprint(graph)["operations"] == {"AddV2": 1, "Const": 1, "Placeholder": 1}
