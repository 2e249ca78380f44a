"""GShard's models with experts compute what Lingvo computes: logits, losses, gradients.

Lingvo's numbers are of packed rows and of rows of one text, in training, where the tokens of the
batch are cut into groups, and in evaluation, where each row is a group.
"""

import numpy as np
import pytest

from tests import slow
from tests.layers.experts.gshard.golden_experts import computed, read

VARIANTS = [f"moe_{form}_{drops}" for form in ("legacy", "new") for drops in ("keep", "drop")]
VARIANTS += ["moe_gated_legacy_drop"]
CASES = [(variant, batch) for variant in VARIANTS for batch in ("packed", "plain")]
# The default run drops choices beside padding, with both behaviors.
QUICK = [("moe_legacy_drop", "packed"), ("moe_new_drop", "packed")]
EACH = pytest.mark.parametrize(("variant", "batch"), slow.all_but(QUICK, CASES, "-".join))
MODES = {"train": "", "eval": "eval/"}
COEFFICIENT_1 = "MixtureOfExperts.loss_coef = 1.0"


def expected(variant, batch, mode):
    """Returns what Lingvo computed, as a function of the key, and its loss without experts."""
    arrays = read(variant).arrays

    def theirs(key):
        return arrays[f"{MODES[mode]}{batch}/{key}"]

    if mode == "train":
        return theirs, theirs("loss") - theirs("aux_loss_weighted").astype(np.float64)
    # Our evaluation has no z-loss.
    share = theirs("weight") / theirs("loss_denominator")
    return theirs, theirs("mean_xent").astype(np.float64) * share


@EACH
def test_logits_losses_and_gradients(variant, batch):
    for mode in MODES:
        ours = computed(variant, batch, mode, gradients=mode == "train")
        theirs, without = expected(variant, batch, mode)
        np.testing.assert_allclose(ours["logits"], theirs("logits"), rtol=0, atol=1e-4)
        counted = theirs("non_padding") > 0
        np.testing.assert_allclose(ours["xent"][counted], theirs("xent")[counted], atol=1e-4)
        np.testing.assert_allclose(ours["loss"], without + theirs("aux_loss_weighted"), rtol=1e-5)
    check_gradients(read(variant), batch, computed(variant, batch, "train", gradients=True))


def check_gradients(golden, batch, ours):
    norms, whole = (golden.by_prefix(f"{batch}/{kind}/") for kind in ("gradnorm", "grad"))
    assert set(norms) == set(golden.variables)
    for name, norm in norms.items():
        own = np.linalg.norm(ours[f"grad/{name}"].astype(np.float64))
        np.testing.assert_allclose(own, norm, rtol=1e-4, atol=1e-7, err_msg=name)
    for name, gradient in whole.items():  # Not every file has them.
        atol = 1e-4 * np.abs(gradient).max() + 1e-7
        np.testing.assert_allclose(ours[f"grad/{name}"], gradient, rtol=0, atol=atol, err_msg=name)


@EACH
def test_the_balance_loss(variant, batch):
    """From the loss with a coefficient of 1 in place of that of the file."""
    for mode in MODES:
        theirs, without = expected(variant, batch, mode)
        found = computed(variant, batch, mode, COEFFICIENT_1)["loss"] - without
        np.testing.assert_allclose(found, theirs("aux_loss"), rtol=0, atol=1e-5)


def test_the_recorded_batch_has_padding_and_drops_choices():
    arrays = read("moe_new_drop").arrays
    assert (arrays["packed/segment_ids"] == 0).any()
    assert any(value > 0.3 for key, value in arrays.items() if "/over_capacity_2_ratio/" in key)


@pytest.mark.parametrize("variant", slow.all_but(["moe_new_drop"], VARIANTS))
def test_the_other_behavior_is_another_model(variant):
    """Of dropped choices in the logits, of padding in the balance loss alone."""
    golden = read(variant)
    legacy = golden.settings.flag("builder.legacy_mtf_behavior")
    other = f"GShardAssignment.legacy_mtf_behavior = {not legacy}"
    found = computed(variant, "packed", "eval", other, COEFFICIENT_1)
    difference = np.abs(found["logits"] - golden.arrays["eval/packed/logits"]).max()
    assert difference > 1e-2 if variant.endswith("drop") else difference < 1e-4
    ours = computed(variant, "packed", "eval", COEFFICIENT_1)["loss"]
    assert abs(found["loss"] - ours) > 1e-3 and (found["loss"] > ours) == legacy


def test_groups_of_training_are_not_rows():
    """Lingvo drops other choices in training than in evaluation, of the same batch."""
    in_rows = "GShardAssignment.num_groups_train = None"
    found = computed("moe_new_drop", "packed", "train", in_rows)["logits"]
    arrays = read("moe_new_drop").arrays
    np.testing.assert_allclose(found, arrays["eval/packed/logits"], rtol=0, atol=1e-4)
    assert np.abs(found - arrays["packed/logits"]).max() > 1e-2


@pytest.mark.slow
def test_lingvos_model_on_a_mesh():
    """Experts over one axis, hidden layers over the other; the groups are Lingvo's."""
    mesh = dict(mesh_shape="rows:2,columns:2")
    mesh["layout"] = "experts:rows,d_ff:columns,expert_hidden:columns"
    found = computed("moe_new_drop", "packed", "train", gradients=True, **mesh)
    golden = read("moe_new_drop")
    np.testing.assert_allclose(found["logits"], golden.arrays["packed/logits"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found["loss"], golden.arrays["packed/loss"], rtol=1e-5)
    check_gradients(golden, "packed", found)
