"""Errors that end a command with one line."""

import gin
import pytest
import tensorflow.compat.v1 as tf

from primer.errors import RunError, UsageError
from primer.runtime import callbacks
from primer.runtime.command_line.errors_in_one_line import OneLineErrors


def ending(error):
    """The exit code of a block that raises the error."""
    with pytest.raises(SystemExit) as ended, OneLineErrors():
        raise error
    return ended.value.code


@pytest.mark.parametrize("error, code", [(UsageError("a = 1"), 2), (RunError("a = 1"), 1)])
def test_our_errors_end_with_their_message_and_code(error, code, capsys):
    assert ending(error) == code
    assert capsys.readouterr().err == "primer: a = 1\n"


def test_the_lines_that_gin_appends_are_not_printed(capsys):
    @gin.configurable(module="one_line_test")
    def failing():
        raise UsageError("a = 1: expected 2")

    with pytest.raises(SystemExit), OneLineErrors():
        failing()
    assert capsys.readouterr().err == "primer: a = 1: expected 2\n"


def test_a_cause_counts(capsys):
    try:
        raise RunError("the file is damaged")
    except RunError as error:
        wrapped = KeyError("x")
        wrapped.__cause__ = error
    assert ending(wrapped) == 1
    assert capsys.readouterr().err == "primer: the file is damaged\n"


def raise_in(module_name, error):
    """Raises the error in a function of the module."""
    names = {"__name__": module_name, "error": error}
    exec("def fail():\n    raise error", names)
    names["fail"]()


def test_a_value_error_of_a_layer_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as ended, OneLineErrors():
        raise_in("primer.layers.attention.mdha", ValueError("radius = -1"))
    assert ended.value.code == 2
    assert capsys.readouterr().err == "primer: radius = -1\n"


def test_another_value_error_keeps_its_traceback(capsys):
    with pytest.raises(ValueError, match="radius"), OneLineErrors():
        raise_in("mesh_tensorflow.ops", ValueError("radius = -1"))
    assert capsys.readouterr().err == ""


def test_damaged_data_are_explained_by_the_registered_function(monkeypatch, capsys):
    monkeypatch.setattr(callbacks, "_registry", callbacks._Registry())
    callbacks.explain_with(lambda error: RunError(f"file a: {error.message}"))
    assert ending(tf.errors.DataLossError(None, None, "bad record")) == 1
    assert capsys.readouterr().err == "primer: file a: bad record\n"


@pytest.mark.parametrize("error, code", [(UsageError("a = 1"), 2), (RunError("a = 1"), 1)])
def test_an_error_in_a_pipeline_is_one_line(error, code, capsys):
    def fail(number):
        raise error

    with tf.Graph().as_default(), tf.Session() as session:
        numbers = tf.data.Dataset.range(3)
        dataset = numbers.map(lambda number: tf.numpy_function(fail, [number], tf.int64))
        following = tf.data.make_one_shot_iterator(dataset).get_next()
        with pytest.raises(SystemExit) as ended, OneLineErrors():
            session.run(following)
    assert ended.value.code == code
    assert capsys.readouterr().err.splitlines()[-1] == "primer: a = 1"


def test_a_block_without_an_error_goes_on():
    with OneLineErrors():
        done = True
    assert done
