"""Our GShard models compute what Lingvo computes: logits, losses, gradients, every dense variant.

Lingvo's numbers (`golden`) are of packed rows, of rows of one text and of its synthetic batch. Its
loss divides by all positions; with `use_tgt_labels_size_as_loss_denominator=False` by the tokens
with a loss, which is also its `mean_xent`.
"""

import functools

import numpy as np
import pytest

from tests import slow
from tests.layers.gshard import golden

DENSE = ["dense128", "dense175", "mqa", "primer_rel"]
OTHERS = [
    *(f"dense128_{name}" for name in ("noextra", "extra2", "buckets8", "smooth", "labels")),
    *("dense175_hot", "dense175_gelu", "mqa_cap2"),
    *("primer_pos", "primer_hybrid_rel", "primer_rms_rel"),
]
VARIANTS = [*DENSE, *OTHERS]
# The default run has both forms, Lingvo's Primer and the other denominator.
QUICK = {"dense128", "dense128_smooth", "dense175", "primer_rel"}
EACH = pytest.mark.parametrize("variant", slow.all_but(QUICK, VARIANTS))


@functools.cache
def computed(variant, batch, *bindings, mode="train"):
    found = golden.read(variant)
    return golden.forward(found, found.batch(batch), bindings, mode, gradients=mode == "train")


def tolerance(variant):
    """With logits of attention of hundreds, float32 alone makes differences of 1e-4.

    Lingvo's logits are as far from the formulas in float64 (`wq` times 12, so that the cap bites).
    """
    return 4e-4 if variant == "dense175_hot" else 1e-4


@EACH
def test_logits(variant):
    found = golden.read(variant)
    assert len(found.batches) >= 2
    for batch in found.batches:
        expected = found.arrays[f"{batch}/logits"]
        logits = computed(variant, batch)["logits"]
        np.testing.assert_allclose(logits, expected, rtol=0, atol=tolerance(variant))
        padding = found.batch(batch)["segment_ids"] == 0
        assert not logits[padding].any() and not expected[padding].any()


@EACH
def test_losses_of_tokens(variant):
    found = golden.read(variant)
    for batch in found.batches:
        theirs, ours = found.numbers(batch), computed(variant, batch)
        labels = theirs["labels"]
        counted = theirs["non_padding"] > 0
        np.testing.assert_array_equal(counted, labels > 0)
        for key in ("xent", "per_token_loss"):
            atol = tolerance(variant)
            np.testing.assert_allclose(ours[key][counted], theirs[key][counted], rtol=0, atol=atol)
        log_z = np.log(np.exp(ours["logits"].astype(np.float64)).sum(-1))
        np.testing.assert_allclose(log_z, theirs["log_z"], rtol=0, atol=tolerance(variant))
        hits = ours["logits"].argmax(-1) == labels
        np.testing.assert_allclose(hits[counted].mean(), theirs["acc1"], atol=1e-6)
        assert counted.sum() == theirs["weight"]


@pytest.mark.parametrize("variant", slow.all_but(["dense128_smooth"], VARIANTS))
def test_losses_with_both_denominators(variant):
    """The model's own loss, with Lingvo's settings, over all positions and over tokens."""
    found = golden.read(variant)
    for batch in found.batches:
        theirs = found.numbers(batch)
        labels = theirs["labels"]
        loss = computed(variant, batch)["loss"]
        np.testing.assert_allclose(loss, theirs["loss"], rtol=1e-5)
        by_size = found.settings.flag("use_tgt_labels_size_as_loss_denominator")
        assert theirs["loss_denominator"] == (labels.size if by_size else (labels > 0).sum())
        both = {}
        for name, value in (("positions", "None"), ("tokens", "'tokens'")):
            binding = f"Unitransformer.loss_denominator = {value}"
            plain = "Unitransformer.label_smoothing = 0.0"
            both[name] = computed(variant, batch, binding, plain, mode="eval")["loss"]
        # Evaluation has no z-loss.
        np.testing.assert_allclose(both["tokens"], theirs["mean_xent"], rtol=1e-5)
        share = theirs["weight"] / labels.size
        np.testing.assert_allclose(both["positions"], both["tokens"] * share, rtol=1e-5)


@EACH
def test_gradients(variant):
    found = golden.read(variant)
    for batch in found.batches:
        ours = computed(variant, batch)
        norms, whole = (found.by_prefix(f"{batch}/{kind}/") for kind in ("gradnorm", "grad"))
        assert set(norms) == set(found.variables)
        for name, norm in norms.items():
            own = ours[f"grad/{name}"].astype(np.float64)
            rtol = tolerance(variant)
            np.testing.assert_allclose(np.linalg.norm(own), norm, rtol=rtol, err_msg=name)
        for name, gradient in whole.items():  # Not every file has them.
            atol = tolerance(variant) * np.abs(gradient).max()
            np.testing.assert_allclose(ours[f"grad/{name}"], gradient, rtol=0, atol=atol)


def difference(variant, batch, binding):
    """Returns how far the logits are from Lingvo's with another setting, computed in any case."""
    found = golden.read(variant)
    run = golden.forward(found, found.batch(batch), (binding,), "eval", gradients=False)
    return np.abs(run["logits"] - found.arrays[f"{batch}/logits"]).max()


def test_a_mask_by_places_in_the_row_is_another_model_of_the_synthetic_batch():
    """All positions there are 1, and Lingvo's mask hides no key."""
    assert (golden.read("dense128").batch("synthetic")["segment_pos"] == 1).all()
    by_row = "MultiHeadAttention.causal_by_position = False"
    assert difference("dense128", "synthetic", by_row) > 1e-2
    assert difference("dense128", "packed", by_row) < 1e-4


def test_lingvo_ignores_the_cap_with_one_head_of_keys():
    cap = golden.read("mqa_cap2").settings.of_builder("atten_logit_cap")
    assert difference("mqa_cap2", "packed", f"attention_logit_cap = {cap}") > 1e-2


@pytest.mark.parametrize(
    "binding",
    ["convolution_crosses_texts = False", "norm = @sublayer_primer_norm"],
    ids=["convolution", "norm"],
)
def test_the_right_primer_differs_from_lingvos(binding):
    assert difference("primer_rel", "packed", binding) > 1e-2
