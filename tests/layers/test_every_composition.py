"""Decoding, causality, packing and meshes of every architecture, with and without experts.

The list of compositions is read from the gin files, so that a new file needs no change here.
"""

import contextlib

import pytest

from tests import gin_models
from tests.layers import composition_checks as checks

COMPOSITIONS = gin_models.run_compositions()
# The default run has each architecture without experts, and some with them.
WITH_EXPERTS = [COMPOSITIONS[-1], ("primer", "fastmoe")]
ALL = pytest.mark.parametrize(
    "composition",
    gin_models.as_params(COMPOSITIONS, lambda c: c[1] is None or c in WITH_EXPERTS),
)
# The default run has each kind of layer on a mesh once.
QUICK = [
    ("primer", None),
    ("evolved_transformer", None),
    ("gpt_neox", None),
    *WITH_EXPERTS,
]
MESHES = pytest.mark.parametrize(
    "composition", gin_models.as_params(COMPOSITIONS, QUICK.__contains__)
)
# Every architecture once, and experts of each kind.
ONE_OF_EACH = [c for c in COMPOSITIONS if c[1] is None or c in WITH_EXPERTS]
# Deterministic and without dropping. The balance loss depends on the groups, hence on the mesh.
EXPERTS = {
    None: (),
    "switch": (
        "block = [%attention, %experts]",
        'MixtureOfExperts.switch_policy_train = "argmax"',
        "MixtureOfExperts.loss_coef = 0.0",
        "capacity_factor_train = 8.0",
    ),
    # Drops nothing; its balance loss is that of all tokens, on every mesh.
    "fastmoe": ('expert_balance_loss = "switch"',),
    # Each row is a group: what is dropped, and its balance loss, are the same on every mesh.
    "gshard_experts": (),
}
# Windows shorter than the rows of the checks.
SMALL_WINDOW = ("window = 3",)


def small(architecture, overlay):
    """Returns bindings for the fewest blocks, with one layer of experts in each if any."""
    blocks = gin_models.fewest_block_bindings(architecture, overlay)
    return blocks + SMALL_WINDOW + EXPERTS[overlay]


def case(composition):
    architecture, overlay = composition
    files = gin_models.files(architecture, overlay=overlay)
    return checks.Case(tuple(files), small(architecture, overlay))


@ALL
def test_steps_equal_teacher_forcing(composition, tmp_path):
    """Without prompts, with prompts of one length, and of different lengths."""
    checks.check_steps(case(composition), tmp_path)


@MESHES
def test_steps_on_a_mesh_equal_teacher_forcing(composition, tmp_path):
    checks.check_steps(case(composition), tmp_path, **checks.MESH)


@ALL
def test_no_position_depends_on_later_ones(composition):
    checks.check_causality(case(composition))


@ALL
def test_packed_examples_equal_their_segments(composition):
    """As released, the convolutions of Lingvo's Primer see the segment before."""
    crosses = gin_models.architecture_slots(composition[0])["convolution_crosses_texts"]
    difference = pytest.raises(AssertionError, match="Not equal to tolerance")
    with difference if crosses else contextlib.nullcontext():
        checks.check_packing(case(composition))


@MESHES
def test_mesh_equals_one_device(composition):
    """Weights, activations and experts over both axes of a 2x2 mesh; outputs and gradients."""
    checks.check_mesh(case(composition))


@pytest.mark.slow
@pytest.mark.parametrize("composition", ONE_OF_EACH, ids=gin_models.name_of)
def test_other_meshes_equal_one_device(composition):
    """The same on 2x1, 1x2 and 4x1."""
    for mesh in checks.OTHER_MESHES.values():
        checks.check_mesh(case(composition), mesh)


@pytest.mark.slow
@pytest.mark.parametrize("composition", ONE_OF_EACH, ids=gin_models.name_of)
def test_steps_on_two_axes_equal_teacher_forcing(composition, tmp_path):
    where = checks.LARGER_MESH
    checks.check_steps(case(composition), tmp_path, prompts=checks.PROMPTS[-1:], **where)
