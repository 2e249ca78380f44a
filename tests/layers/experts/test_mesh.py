"""On a mesh of processors experts compute what one device computes."""

import functools

import numpy as np
import pytest

from primer.layers import MixtureOfExperts2D
from tests import slow
from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import IDS, X, tight

# Groups are as many on every mesh here: 4 and 8 divide evenly.
GROUPS = {"group_size": 6}
MESHES = {
    "batch": ("rows:2", "batch:rows"),
    "batch and experts": ("rows:4", "batch:rows,experts:rows"),
    "and the hidden layer": (
        "rows:2,columns:2",
        "batch:rows,experts:rows,expert_hidden:columns,heads:columns,vocab:columns",
    ),
    "batch, experts elsewhere": ("rows:2,columns:2", "batch:rows,experts:columns"),
    "and the features": ("rows:2,columns:2", "batch:rows,experts:rows,d_model:columns"),
}
PLACES = {
    "top_2": ["batch", "batch and experts", "and the hidden layer", "and the features"],
    "switch_max": ["and the hidden layer"],
    "expert_choice": ["and the hidden layer"],
}


@functools.cache
def one_device(gating, mode, exact=False):
    return run(gating, mode, exact)


def run(gating, mode, exact=False, mesh_shape="", layout=""):
    experts, x = tight(gating, **GROUPS), X[:, 5] if mode == "incremental" else X
    settings = dict(mode=mode, exact=exact, gradients=mode == "train")
    settings["sequence_id"] = IDS if mode == "train" else None
    return experts_alone.run(experts, x=x, mesh_shape=mesh_shape, layout=layout, **settings)


@pytest.mark.parametrize(
    "gating, mesh",
    slow.all_but(
        [("top_2", "batch and experts"), ("switch_max", "and the hidden layer")],
        [(gating, mesh) for gating, meshes in PLACES.items() for mesh in meshes],
        name="-".join,
    ),
)
def test_training(gating, mesh):
    """Outputs, losses and gradients, with dropped tokens and biases."""
    values = run(gating, "train", False, *MESHES[mesh])
    experts_alone.check_same(values, one_device(gating, "train"))


@pytest.mark.parametrize("mesh", MESHES)
def test_without_dropping(mesh):
    values = run("top_2", "eval", True, *MESHES[mesh])
    experts_alone.check_same(values, one_device("top_2", "eval", True))


def test_decoding():
    values = run("top_2", "incremental", False, *MESHES["and the hidden layer"])
    experts_alone.check_same(values, one_device("top_2", "incremental"))


@pytest.mark.parametrize(
    "mesh_shape, layout",
    [
        ("rows:2,columns:2", "batch:rows,expert_x:rows,outer_batch:columns,expert_y:columns"),
        pytest.param(
            *("rows:2,columns:2", "batch:rows,expert_y:rows,expert_hidden:columns"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_two_levels(mesh_shape, layout):
    """With as many groups, and room for all on the second level, where they may be others."""
    x = np.random.default_rng(1).standard_normal([2, 4, 12, 8]).astype(np.float32)
    experts = MixtureOfExperts2D(
        expert_x=2,
        expert_y=4,
        hidden_size=6,
        group_size=12,
        second_policy_train="all",
        capacity_factor_second_level=4.0,
        use_bias=True,
        loss_coef=0.0,
    )
    settings = dict(x=x, mode="train", gradients=True)
    expected = experts_alone.run(experts, **settings)
    values = experts_alone.run(experts, mesh_shape=mesh_shape, layout=layout, **settings)
    experts_alone.check_same(values, expected)
    expected = experts_alone.run(experts, x=x, exact=True)
    values = experts_alone.run(experts, x=x, exact=True, mesh_shape=mesh_shape, layout=layout)
    experts_alone.check_same(values, expected)


def test_tpus_need_static_shapes(monkeypatch):
    """Where every expert multiplies every row and a mask chooses, the result is the same."""
    from primer.layers.experts import selected_dense

    for gating in ("top_2", "two levels"):
        expected = experts_alone.run(tight(gating, second_policy_eval="threshold"), exact=True)
        with monkeypatch.context() as patch:
            patch.setattr(selected_dense, "_sorted", selected_dense._masked)
            values = experts_alone.run(tight(gating, second_policy_eval="threshold"), exact=True)
        experts_alone.check_same(values, expected)


def test_a_layout_that_the_model_does_not_know_is_refused():
    """The layer looks at the model's layout to move tokens; without it both split alike."""
    experts = tight("top_2")
    original = experts._undropped

    def forget(context, x):
        context.model.layout = None
        return original(context, x)

    experts._undropped = forget
    where = dict(mesh_shape="rows:2", layout="batch:rows,experts:rows")
    with pytest.raises(ValueError, match="give the layout to the model too"):
        experts_alone.run(experts, exact=True, **where)
