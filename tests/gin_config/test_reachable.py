"""Bindings that code reads are found without running the code."""

import functools

import gin
import pytest

from primer.gin_config import reachable
from primer.runtime import engine


@gin.configurable(module="reachable_test")
def reached_source(path=None):
    return path


@gin.configurable(module="reachable_test")
def reached_never(path=None):
    return path


@gin.configurable(module="reachable_test")
class ReachedFilter:
    def __init__(self, least=1):
        self.least = least

    def apply(self):
        return self.least


@gin.configurable(module="reachable_test")
def reached_dataset(filters=(), seed=None):
    return helper(filters, seed)


@gin.configurable(module="reachable_test")
class ReachedLater:
    def __init__(self, depth=1):
        self.depth = depth


def helper(filters, seed):
    def inside():
        return reached_source()

    return filters, seed, inside


class Task:
    """Stands for a seqio task: it holds functions, and no test calls it."""

    def __init__(self, *functions):
        self.functions = list(functions)

    def get_dataset(self):
        return [function() for function in self.functions]


def make_closure(function):
    return lambda: function()


PREFIX = "reachable_test"
READ_BY_THE_RUN = [
    "utils.run.train_dataset_fn = @reached_dataset",
    "reached_dataset.seed = %seed",
    "seed = 5",
    "reached_dataset.filters = [@few/ReachedFilter, {'a': @ReachedFilter()}]",
    "few/ReachedFilter.least = 3",
    "ReachedFilter.least = 4",
    "reached_source.path = 'x'",
]


def keys(*bindings, called=(), mode="train", data=(), entry_points=()):
    gin.parse_config(["import mesh_tensorflow.transformer.utils", *bindings])
    return reachable.reachable_keys(set(called), mode, data, entry_points)


def name(selector, parameter, scope=""):
    return (scope, f"{PREFIX}.{selector}", parameter)


def test_bindings_of_the_run_lead_to_all_functions_that_it_would_call():
    unread = ["reached_never.path = 1", "mny/ReachedFilter.least = 1", "other = 1"]
    assert keys(*READ_BY_THE_RUN, *unread) == {
        name("reached_dataset", "seed"),
        name("reached_dataset", "filters"),
        name("ReachedFilter", "least"),
        name("ReachedFilter", "least", "few"),
        name("reached_source", "path"),
        ("seed", "gin.macro", "value"),
    }


def test_a_called_configurable_is_left_to_gins_record():
    found = keys(*READ_BY_THE_RUN, called=[f"{PREFIX}.reached_dataset"])
    assert found == set()


@pytest.mark.parametrize(
    "hold",
    [
        lambda f: f,
        lambda f: functools.partial(f, path=1),
        lambda f: functools.partial(make_closure, f),
        make_closure,
        lambda f: [f],
        lambda f: {"a": f},
        lambda f: Task(f).get_dataset,
    ],
    ids=["function", "partial", "argument", "closure", "list", "dict", "method"],
)
def test_functions_that_a_task_holds_are_followed(hold):
    bindings = ["reached_source.path = 'x'", "reached_never.path = 'y'"]
    assert keys(*bindings, data=[Task(hold(reached_source))]) == {name("reached_source", "path")}


def test_methods_of_a_class_are_followed():
    found = keys("ReachedLater.depth = 3", "reached_source.path = 1", data=[Task(ReachedLater)])
    assert found == {name("ReachedLater", "depth")}


def test_settings_of_the_engines_entry_points_are_read_by_a_run():
    points = engine.entry_points()
    every, kind = ("", "primer.validation", "every"), ("", "primer.estimator", "kind")
    assert every in keys("validation.every = 5", entry_points=points)
    assert kind in keys("estimator.kind = 'local'", entry_points=points)
    assert not {every, kind} & keys()


def test_another_mode_reads_the_functions_that_its_code_names():
    binding = "decode_from_file.input_filename = 'x'"
    key = ("", "mesh_tensorflow.transformer.utils.decode_from_file", "input_filename")
    assert key not in keys(binding)
    assert key in keys(binding, mode="infer")
    sampling = "Unitransformer.sample_autoregressive.temperature = 0.5"
    unitransformer = "mesh_tensorflow.transformer.transformer.Unitransformer"
    found = keys(sampling, called=[unitransformer], mode="infer")
    assert any(parameter == "temperature" for _, _, parameter in found)
