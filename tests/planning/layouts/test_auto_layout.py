"""auto_mtf's integer program, written down here and solved by ortools in another process."""

import importlib.util
import sys

import mesh_tensorflow as mtf
import pytest
import tensorflow.compat.v1 as tf

from primer.errors import UsageError
from primer.planning.layouts import auto_layout, integer_program


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs the package ortools: .*primer\[auto-layout\]"):
        integer_program.require_ortools()


def test_the_program_that_auto_mtf_writes():
    """Built by auto_mtf itself, without ortools in this process."""
    estimator, optimizer = auto_layout._auto_mtf()
    assert "ortools.sat.python.cp_model" not in sys.modules
    graph, mesh = product()
    shape = mtf.convert_to_shape("m:2")
    program = optimizer.LayoutOptimizer(estimator.MemoryEstimator(graph, shape))
    model = program._model
    names = {name: next(iter(v.terms)) for (name, _), v in program._global_vars.items()}
    assert set(names) == {"a", "b", "c"}
    # Of the dimensions a and b of x at most one is on the axis: their sum - 1 is at most 0.
    both = {(names["a"], 1), (names["b"], 1)}
    (bounds,) = {
        (constant, low, high)
        for terms, constant, low, high in model.constraints
        if set(terms) == both
    }
    assert bounds == (-1, -integer_program._FAR, 0)


def test_a_layout_that_splits_the_largest_tensor():
    graph, _ = product()
    layout, memory = auto_layout.layout_of(graph, {"m": 2})
    assert layout == {"b": "m"} and memory > 0


def test_a_program_is_solved():
    model = integer_program.CpModel()
    x = [model.NewBoolVar(str(number)) for number in range(4)]
    model.Add(sum(x[:2]) <= 1)
    model.Add(sum(x[2:]) == 1)
    model.AddImplication(x[2], x[0])
    model.AddImplication(x[1], x[2].Not())
    most = model.NewIntVar(0, 100, "z")
    model.Add(10 * x[2] + 7 * x[3] + 3 * x[0] <= most)
    model.Minimize(5 * most - sum(x))
    solver = integer_program.CpSolver()
    assert solver.Solve(model) == integer_program.OPTIMAL
    assert [solver.Value(v) for v in (*x, most)] == [0, 1, 0, 1, 7]


def product():
    """A graph of x [a, b large] times y [b large, c]."""
    with tf.Graph().as_default():
        graph = mtf.Graph()
        mesh = mtf.Mesh(graph, "mesh")
        a, b, c = (mtf.Dimension(name, size) for name, size in (("a", 4), ("b", 512), ("c", 8)))
        x, y = mtf.zeros(mesh, [a, b]), mtf.zeros(mesh, [b, c])
        mtf.einsum([x, y], output_shape=[a, c])
    return graph, mesh
