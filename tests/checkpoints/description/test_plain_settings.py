"""The settings that objects hold, as plain data, and which of them decide a function."""

import functools
import json
import math

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.checkpoints.description import plain_settings


class Holder:
    """An object with attributes."""

    def __init__(self, **attributes):
        vars(self).update(attributes)

    def method(self):
        pass


class Slotted:
    """An object without a dict."""

    __slots__ = ("size", "_unset")

    def __init__(self, size):
        self.size = size


def scaled(factor):
    def function(x):
        return factor * x

    return function


PARTIAL = {"function": "partial", "of": "pow"}
INNER = {"class": "Slotted", "size": 2}


@pytest.mark.parametrize(
    "value, expected",
    [
        (1.5, 1.5),
        (math.inf, "inf"),
        (np.float32(0.5), 0.5),
        ((1, "a", None), [1, "a", None]),
        ({2, 1}, [1, 2]),
        (mtf.Dimension("d_ff", 8), 8),
        (mtf.Shape([mtf.Dimension("a", 2), mtf.Dimension("b", 3)]), [2, 3]),
        (tf.bfloat16, "bfloat16"),
        (Holder, "Holder"),
        (scaled, "scaled"),
        (scaled(2), {"function": "function", "factor": 2}),
        (functools.partial(math.pow, 2), {**PARTIAL, "arguments": [2], "keywords": []}),
        (functools.partial(math.pow, x=2), {**PARTIAL, "arguments": [], "keywords": [["x", 2]]}),
        ({"b": 1, "a": (2,), 3: None, "name": 4}, [["3", None], ["a", [2]], ["b", 1]]),
        (Holder(_size=1).method, {"function": "method", "self": {"class": "Holder", "size": 1}}),
        (Slotted(3), {"class": "Slotted", "size": 3}),
        (
            Holder(inner=[Holder(size=2)]),
            {"class": "Holder", "inner": [{"class": "Holder", "size": 2}]},
        ),
        (tf.zeros_initializer(), "Zeros"),
        (tf, None),
    ],
)
def test_a_value_is_plain_data(value, expected):
    assert plain_settings.plain(value) == expected
    json.dumps(expected)


def test_arrays_are_told_apart_by_their_values():
    values = [np.zeros(3), np.zeros(3), np.ones(3), np.zeros([3, 1]), np.zeros(3, np.float32)]
    first, same, *others = map(plain_settings.plain, values)
    assert first == same and first not in others


def test_an_object_that_holds_itself_is_named_there():
    outer = Holder(size=1)
    outer.inner = Holder(outer=outer)
    inner = {"class": "Holder", "outer": "Holder"}
    assert plain_settings.held_by(outer) == {"inner": inner, "size": 1}
    assert plain_settings.held_by(outer, ("inner",)) == {"size": 1}


def test_a_decorated_function_is_known_by_its_name():
    decorated = functools.wraps(scaled)(scaled(2))
    assert plain_settings.plain(decorated) == "scaled"


def test_tensors_are_left_out():
    with tf.Graph().as_default():
        mesh = mtf.Mesh(mtf.Graph(), "mesh")
        tensor = mtf.zeros(mesh, mtf.Shape([]))
        assert plain_settings.held_by(Holder(a=tensor, b=[tensor, 1], c=tf.zeros([]))) == {"b": [1]}


@pytest.mark.parametrize(
    "name",
    [
        *("dropout_rate", "switch_jitter", "capacity_factor_train", "training", "z_loss_coeff"),
        *("label_smoothing", "kernel_initializer", "initializer_scale", "name", "recompute_grads"),
        *("layout", "mesh_shape", "max_length"),
    ],
)
def test_settings_that_do_not_decide_the_function(name):
    assert not plain_settings.decides_function(name)


# "evaluate" is the reach of a layer with memory.
OF_EVALUATION = ("capacity_factor_eval", "evaluate")


@pytest.mark.parametrize(
    "name", ["epsilon", "activation", *OF_EVALUATION, "fold_scaling_into_initializer"]
)
def test_settings_that_decide_the_function(name):
    assert plain_settings.decides_function(name)
    assert plain_settings.is_of_evaluation(name) == (name in OF_EVALUATION)


def test_a_fingerprint_is_of_the_values_in_any_order():
    first = plain_settings.fingerprint({"a": 1, "b": [0.1]})
    assert first == plain_settings.fingerprint({"b": [0.1], "a": 1.0})
    assert first != plain_settings.fingerprint({"a": 1, "b": [0.1000001]})
    assert len(first) == 16
