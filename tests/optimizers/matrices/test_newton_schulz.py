"""Newton-Schulz steps against numpy's singular values and optax, for every layout of a matrix."""

import functools

import jax.numpy as jnp
import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from optax.contrib import _muon

from primer.optimizers.matrices import newton_schulz
from tests import slow
from tests.optimizers import optax_run, optimizer_run  # noqa: F401  (optax_run: float64)

LAYOUTS = ["", "a:rows", "b:rows", "a:rows,b:cols", "c:cols", "a:cols,c:rows", "s:rows,b:cols"]
# Dimensions with their sizes, and the names of the rows; all others but `s` are columns.
SHAPES = {
    "wide": ({"a": 8, "b": 24}, "a"),
    "tall": ({"a": 24, "b": 8}, "a"),
    "square": ({"a": 16, "b": 16}, "a"),
    "columns of two dimensions": ({"a": 8, "b": 4, "c": 6}, "a"),
    "rows of two dimensions": ({"b": 4, "c": 6, "a": 8}, "bc"),
    "short side of two dimensions": ({"a": 32, "b": 4, "c": 2}, "a"),
    "stacked": ({"s": 4, "a": 8, "b": 16}, "a"),
    "stacked between": ({"a": 16, "s": 4, "b": 8}, "a"),
}


def lowered(value, dims, rows, layout="", steps=5):
    """Returns the lowering and the result: on a mesh, or without a layout on one device."""
    shape = mtf.convert_to_shape(optimizer_run.MESH_2X2 if layout else "")
    implementation = mtf.placement_mesh_impl.PlacementMeshImpl(
        shape, mtf.convert_to_layout_rules(layout), [""] * shape.size
    )
    graph = mtf.Graph()
    mesh = mtf.Mesh(graph, "newton_schulz")
    sizes = mtf.Shape([mtf.Dimension(*item) for item in dims.items()])
    x = mtf.import_tf_tensor(mesh, tf.constant(value, tf.float32), sizes)
    sides = (
        [dim for dim in sizes.dims if dim.name in rows],
        [dim for dim in sizes.dims if dim.name not in f"{rows}s"],
    )
    y = newton_schulz.orthogonalized(x, *sides, steps=steps)
    assert y.shape == sizes
    return mtf.Lowering(graph, {mesh: implementation}), y


def orthogonalized(*args, **settings):
    """Returns the result of `lowered`."""
    with tf.Graph().as_default(), tf.Session() as sess:
        lowering, y = lowered(*args, **settings)
        return sess.run(lowering.export_to_tf_tensor(y))


def as_matrices(value, dims, rows):
    """Returns [stacked, rows, columns] of the dimensions."""
    names = list(dims)
    order = [n for n in names if n == "s"] + [n for n in names if n in rows]
    order += [n for n in names if n not in order]
    value = value.transpose([names.index(n) for n in order])
    return value.reshape(dims.get("s", 1), np.prod([dims[n] for n in rows]), -1)


@functools.cache
def example(name):
    """Returns a random matrix and optax's result in float64, `[stacked, rows, columns]`."""
    dims, rows = SHAPES[name]
    value = np.random.RandomState(0).normal(size=list(dims.values())).astype("f")
    theirs = [
        _muon.orthogonalize_via_newton_schulz(
            jnp.asarray(matrix, jnp.float64), jnp.asarray(newton_schulz.COEFFICIENTS), eps=1e-7
        )
        for matrix in as_matrices(value, dims, rows)
    ]
    return value, np.stack(theirs)


@pytest.mark.parametrize("layout", slow.all_but(["", "a:rows,b:cols", "a:cols,c:rows"], LAYOUTS))
@pytest.mark.parametrize("name", SHAPES)
def test_it_equals_optax_for_every_layout(name, layout):
    dims, rows = SHAPES[name]
    layout = ",".join(rule for rule in layout.split(",") if rule.split(":")[0] in dims)
    value, expected = example(name)
    found = orthogonalized(value, dims, rows, layout)
    np.testing.assert_allclose(as_matrices(found, dims, rows), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [5, 7])
def test_it_keeps_the_singular_vectors_and_moves_the_values_near_one(steps):
    """Singular values from 1 down to 0.01: those of the result are in the interval of the docs."""
    random = np.random.RandomState(1)
    u, v = (np.linalg.qr(random.normal(size=(n, 12)))[0] for n in (12, 20))
    values = np.logspace(0, -2, 12)
    found = orthogonalized(u @ np.diag(values) @ v.T, {"a": 12, "b": 20}, "a", steps=steps)
    left, singular, right = np.linalg.svd(found.astype(np.float64), full_matrices=False)
    assert np.all((0.68 < singular) & (singular < 1.21)), singular
    in_its_basis = u.T @ (left * singular) @ right @ v
    np.testing.assert_allclose(in_its_basis, np.diag(np.diag(in_its_basis)), atol=1e-4)
    polynomial = values / np.linalg.norm(values)
    for _ in range(steps):
        polynomial = sum(
            c * polynomial**power
            for c, power in zip(newton_schulz.COEFFICIENTS, (1, 3, 5), strict=True)
        )
    np.testing.assert_allclose(np.diag(in_its_basis), polynomial, atol=1e-4)


def test_zeros_stay_zeros_and_the_scale_has_no_effect():
    dims = {"a": 8, "b": 24}
    assert np.all(orthogonalized(np.zeros([8, 24]), dims, "a") == 0.0)
    value, expected = example("wide")
    found = orthogonalized(value * 1e4, dims, "a")
    np.testing.assert_allclose(found[np.newaxis], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        # The short side is made whole, and the norm is summed.
        ("a:rows", {"allconcat": 1, "allreduce": 1}),
        # The norm, and one product in each of five steps.
        ("b:rows", {"allreduce": 6}),
        ("a:rows,b:cols", {"allconcat": 1, "allreduce": 6}),
        ("s:rows", {}),
    ],
)
def test_a_step_communicates_no_more_than_the_docs_say(layout, expected, monkeypatch):
    counts = {}
    for name in ("allconcat", "allreduce", "alltoall"):
        stock = getattr(mtf.placement_mesh_impl.PlacementMeshImpl, name)

        def counted(*args, name=name, stock=stock, **kwargs):
            counts[name] = counts.get(name, 0) + 1
            return stock(*args, **kwargs)

        monkeypatch.setattr(mtf.placement_mesh_impl.PlacementMeshImpl, name, counted)
    dims = {"s": 4, "a": 8, "b": 24}
    with tf.Graph().as_default():
        lowered(np.ones(list(dims.values())), dims, "a", layout)
    assert counts == expected
