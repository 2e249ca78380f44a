"""On a mesh of processors the layers compute what one device computes."""

import functools

import numpy as np
import pytest

from tests import slow
from tests.layers import helpers, stepwise

TARGETS = np.random.default_rng(0).integers(2, 97, [4, 8])
# Two segments per row.
IDS = np.where(np.arange(8) < np.array([[3], [8], [1], [5]]), 1, 2)

MESHES = {
    "batch": ("rows:2", "batch:rows"),
    "heads": ("columns:2", "heads:columns,d_ff:columns,vocab:columns"),
    "batch and heads": (
        "rows:2,columns:2",
        "batch:rows,heads:columns,d_ff:columns,vocab:columns",
    ),
    "batch by 4": ("rows:4", "batch:rows"),
    "model in two dimensions": (
        "rows:2,columns:2",
        "d_model:rows,heads:columns,d_ff:columns,vocab:columns",
    ),
    "length": ("rows:2", "length:rows"),
}


def run(name, mesh_shape="", layout="", model=None):
    # Layers read the layout from the model, as in a real run.
    where = {"layout": layout, "mesh_shape": mesh_shape}
    plain, variables = helpers.golden_model(name, model=model)
    if model:
        variables = helpers.random_variables(plain)
    model = helpers.build_model(name, model={**(model or {}), **where}, num_layers=1)
    return helpers.call(
        model,
        variables,
        TARGETS,
        mode="train",
        sequence_id=IDS,
        gradients=True,
        mesh_shape=mesh_shape,
        layout=layout,
    )


@pytest.fixture(scope="module")
def expected():
    """The values of each architecture on one device, computed once."""
    return functools.lru_cache(maxsize=None)(run)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, mesh",
    slow.all_but(
        [("primer_ez", "batch"), ("primer_ez", "length"), ("primer", "batch and heads")],
        [("primer_ez", mesh) for mesh in MESHES]
        + [("primer", "batch and heads"), ("primer", "model in two dimensions")],
        name="-".join,
    ),
)
def test_mesh_equals_one_device(expected, name, mesh):
    values = run(name, *MESHES[mesh])
    np.testing.assert_allclose(values["logits"], expected(name)["logits"], rtol=0, atol=1e-4)
    for key, value in expected(name).items():
        if key != "logits":
            np.testing.assert_allclose(values[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def test_decoding_on_a_mesh():
    settings = (*helpers.golden_model("primer_ez"), TARGETS[:2, :5], [3, 4])
    values = stepwise.decode(
        *settings,
        mesh_shape="rows:2,columns:2",
        layout="batch:rows,heads:columns,d_ff:columns,vocab:columns",
    )
    np.testing.assert_allclose(values, stepwise.decode(*settings), rtol=0, atol=1e-4)


def test_ensemble_over_a_mesh():
    expected = run("primer_ez", model={"ensemble": 2})
    values = run("primer_ez", "rows:2", "ensemble:rows", model={"ensemble": 2})
    np.testing.assert_allclose(values["logits"], expected["logits"], rtol=0, atol=1e-4)
    for key, value in helpers.by_prefix(expected, "gradnorm/").items():
        np.testing.assert_allclose(values["gradnorm/" + key], value, rtol=1e-4, err_msg=key)
