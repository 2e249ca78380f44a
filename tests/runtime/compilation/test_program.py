"""Small graphs, compiled by XLA and as they are."""

import gin
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.runtime.compilation.program import Program

TWO_CPUS = tf.ConfigProto(device_count={"CPU": 2})


@pytest.fixture(autouse=True)
def xla_on():
    tf.disable_v2_behavior()  # As Mesh-TensorFlow does: loops of TensorFlow 1.
    with gin.unlock_config():
        gin.bind_parameter("compile.xla", True)
    with tf.Graph().as_default():
        yield


def weight(name, value, device=""):
    with tf.device(device):
        return tf.get_variable(name, initializer=tf.constant(value), use_resource=True)


def session(config=None):
    made = tf.Session(config=config)
    made.run(tf.global_variables_initializer())
    return made


def batches(number=3):
    """Returns the iterator over 1, 2, ... as float32 and the next of them."""
    data = tf.data.Dataset.range(1, number + 1).map(lambda n: tf.cast(n, tf.float32))
    iterator = tf.data.make_initializable_iterator(data)
    return iterator, iterator.get_next()


def calls():
    return [op for op in tf.get_default_graph().get_operations() if op.type == "XlaLaunch"]


def test_a_step_with_loop_update_and_step_number_is_one_call(capsys):
    """Everything else stays outside: the input, the step, and what follows the update."""
    tf.train.get_or_create_global_step()
    iterator, x = batches()
    w = weight("w", 2.0)
    _, total = tf.while_loop(lambda i, _: i < 3, lambda i, s: (i + 1, s + x * w), [0, 0.0])
    update = w.assign_add(total).op
    with tf.control_dependencies([update]):
        increment = tf.train.get_global_step().assign_add(1).op
    text = tf.strings.as_string(total)
    program = Program({"a": [total, text], "b": tf.group(update, increment)}, None, "it")
    with session() as sess:
        sess.run(iterator.initializer)
        found = [program.run(sess.run)["a"] for _ in range(3)]
        assert sess.run(tf.train.get_global_step()) == 3
        assert sess.run(w) == 2.0 * 4 * 7 * 10
    assert [value for value, _ in found] == [6.0, 48.0, 504.0]
    assert [float(text) for _, text in found] == [6.0, 48.0, 504.0]
    assert len(calls()) == 1 and program.is_compiled
    assert "XLA compiled it in" in capsys.readouterr().err


def test_what_xla_cannot_compile_runs_as_it_is_from_the_same_batch(capsys):
    """The number of ones, on which the shape depends, is not known before the run."""
    iterator, x = batches()
    w = weight("w", 1.0)
    shape = tf.reshape(tf.cast(x, tf.int32), [1])
    total = tf.reduce_sum(tf.reshape(tf.fill(shape, w), [-1]) * tf.linspace(1.0, 2.0, shape[0]))
    with tf.control_dependencies([total]):
        update = w.assign_add(x).op
    program = Program([total, update], None, "the step")
    with session() as sess:
        sess.run(iterator.initializer)
        found = [program.run(sess.run)[0] for _ in range(3)]
        assert sess.run(w) == 7.0
    np.testing.assert_allclose(found, [1.0, 2 * 3.0, 4 * 4.5])
    lines = [line for line in capsys.readouterr().err.splitlines() if "XLA" in line]
    assert (len(lines), program.is_compiled) == (1, False)
    assert lines[0].startswith("XLA does not compile the step, which runs uncompiled: ")


def test_an_operation_without_a_kernel_is_named_before_the_run(capsys):
    w = weight("w", 3.0)
    squared = tf.numpy_function(np.square, [w * 2.0], tf.float32, name="in_python")
    squared.set_shape([])
    program = Program(w.assign(squared + 1.0), None, "the step")
    assert not program.is_compiled and not calls()
    assert "XLA has no PyFunc (in_python), which is inside the step" in capsys.readouterr().err
    with session() as sess:
        assert program.run(sess.run) == 37.0


def test_each_device_has_a_call_between_two_exchanges():
    parts = [weight(f"w{n}", [1.0 + n, 2.0], f"cpu:{n}") for n in range(2)]
    squares = []
    for n, part in enumerate(parts):
        with tf.device(f"cpu:{n}"):
            squares.append(tf.square(part) + 1.0)
    updates = []
    for n, part in enumerate(parts):
        with tf.device(f"cpu:{n}"):
            updates.append(part.assign_add(squares[n] * squares[1 - n]).op)
    program = Program(updates, ["cpu:0", "cpu:1"], "the step")
    assert {call.device for call in calls()} == {"/device:CPU:0", "/device:CPU:1"}
    assert len(calls()) == 4
    with session(TWO_CPUS) as sess:
        program.run(sess.run)
        np.testing.assert_allclose(sess.run(parts), [[1 + 2 * 5, 2 + 25], [2 + 2 * 5, 2 + 25]])


def test_a_loop_over_several_devices_is_not_compiled(capsys):
    parts = [weight(f"w{n}", 1.0 + n, f"cpu:{n}") for n in range(2)]

    def body(i, *values):
        made = []
        for n in range(2):
            with tf.device(f"cpu:{n}"):
                made.append(values[n] + values[1 - n])
        return (i + 1, *made)

    found = tf.while_loop(lambda i, *_: i < 3, body, [0, *parts])
    program = Program(found[1], ["cpu:0", "cpu:1"], "the step")
    assert not program.is_compiled
    assert (
        "is on several devices, and XLA compiles the operations of one" in capsys.readouterr().err
    )
    with session(TWO_CPUS) as sess:
        assert program.run(sess.run) == 12.0
