"""The parameters that called configurables read, from gin's record of the calls."""

import gin
import pytest

from primer.gin_config import gin_state, settings_read


@gin.configurable(module="test_settings_read.a")
def norm(x, epsilon=1e-6, scale=None):
    return x, epsilon, scale


@gin.configurable("norm", module="test_settings_read.b")
def other_norm(epsilon=0.5):
    return epsilon


@gin.configurable(module="test_settings_read")
def width(size=4):
    return size


A = "test_settings_read.a.norm"


def read(code=lambda: norm(1)):
    return settings_read.settings_read(code)


def test_defaults_and_bindings_are_read_and_arguments_are_not():
    gin.bind_parameter(f"{A}.scale", 2.0)
    assert read() == {"norm.epsilon": 1e-6, "norm.scale": 2.0}
    assert read(lambda: norm(1, epsilon=3)) == {"norm.scale": 2.0}
    assert read(lambda: None) == {}


def test_macros_are_replaced_by_their_values_and_functions_by_their_names():
    gin.parse_config(f"inner = 7\nouter = [%inner, @width, @wide/width()]\n{A}.scale = %outer")
    gin.parse_config("wide/width.size = 8")
    expected = [7, "@width", "@wide/width()"]
    assert read() == {"norm.epsilon": 1e-6, "norm.scale": expected, "wide/width.size": 8}


def test_a_dict_is_its_pairs():
    gin.parse_config(f"inner = 7\n{A}.scale = {{'b': %inner, 'a': [1]}}")
    assert read()["norm.scale"] == [["a", [1]], ["b", 7]]


def test_a_scope_is_part_of_the_name():
    gin.parse_config(f"deep/{A}.epsilon = 0.1")

    def call():
        norm(1)
        with gin.config_scope("deep"):
            norm(2)

    found = read(call)
    assert (found["norm.epsilon"], found["deep/norm.epsilon"]) == (1e-6, 0.1)


def test_two_configurables_of_one_name_keep_their_modules():
    found = read(lambda: (norm(1), other_norm()))
    assert found[f"{A}.epsilon"] == 1e-6
    assert found["test_settings_read.b.norm.epsilon"] == 0.5


def test_the_record_of_the_run_is_left_as_it_was():
    width()
    before = {key: dict(values) for key, values in gin_state.recorded_calls().items()}
    assert "width.size" not in read()
    with pytest.raises(ZeroDivisionError):
        read(lambda: norm(1 / 0))
    assert gin_state.recorded_calls() == before
