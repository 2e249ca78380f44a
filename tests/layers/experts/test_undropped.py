"""Without dropping, a token's output depends only on that token; expert choice has a caveat."""

import types

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import moe

from primer.common import graph_marks
from primer.layers import MixtureOfExperts, MixtureOfExperts2D
from primer.layers.experts import undropped
from tests.layers.experts import experts_alone
from tests.layers.experts.experts_alone import TOKEN_CHOICE, X, roomy, tight


def y_of(gating, x=X, exact=True, **settings):
    return experts_alone.run(tight(gating, **settings), x=x, exact=exact)["y"]


@pytest.mark.parametrize("gating", [*TOKEN_CHOICE, "two levels"])
def test_a_token_depends_on_no_other(gating):
    """With other neighbours, another order and other later tokens: the same to rounding."""
    expected = y_of(gating)
    assert (np.abs(expected).sum(-1) > 0).all()
    order = np.random.default_rng(0).permutation(4 * 12)
    shuffled = y_of(gating, X.reshape(48, 8)[order].reshape(X.shape))
    np.testing.assert_allclose(
        shuffled.reshape(48, 8), expected.reshape(48, 8)[order], rtol=0, atol=1e-6
    )
    changed = X.copy()
    changed[1:, 3:] *= -1
    y = y_of(gating, changed)
    np.testing.assert_allclose(y[:1], expected[:1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(y[:, :3], expected[:, :3], rtol=0, atol=1e-6)


@pytest.mark.parametrize("gating", [*TOKEN_CHOICE, "two levels"])
def test_the_result_equals_that_of_a_large_capacity(gating):
    """Two implementations: sorted rows, and slots of experts."""
    expected = y_of(gating, exact=False, **roomy(gating))
    np.testing.assert_allclose(y_of(gating), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        y_of(gating, exact=False, capacity_factor_eval=None), expected, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("gating", ["switch", "top_2", "two levels"])
def test_with_capacity_a_token_depends_on_others(gating):
    """As released; the two tests above fail for this."""
    assert np.abs(y_of(gating, exact=False) - y_of(gating)).max() > 0.1


@pytest.mark.parametrize("gating", ["top_2", "top_n", "two levels"])
@pytest.mark.parametrize("policy", ["threshold", "none"])
def test_second_policies_without_dropping(gating, policy):
    settings = {"second_policy_eval": policy, "second_threshold_eval": 0.4}
    expected = y_of(gating, exact=False, **settings, **roomy(gating))
    np.testing.assert_allclose(y_of(gating, **settings), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("gating", [*TOKEN_CHOICE, "two levels"])
def test_decoding_drops_nothing(gating):
    """A step of a whole batch, and a prompt, equal evaluation without dropping."""
    expected = y_of(gating)
    step = experts_alone.run(tight(gating), x=X[:, 5], mode="incremental")
    np.testing.assert_allclose(step["y"], expected[:, 5], rtol=0, atol=1e-6)
    prompt = experts_alone.run(tight(gating), mode="first_part")
    np.testing.assert_allclose(prompt["y"], expected, rtol=0, atol=1e-6)


def test_there_is_no_balance_loss_without_dropping():
    assert "loss" not in experts_alone.run(tight("top_2"), exact=True)
    assert "loss" in experts_alone.run(tight("top_2"))


def test_training_in_a_marked_graph_still_has_capacity():
    values = [experts_alone.run(tight("top_2"), mode="train", exact=e) for e in (True, False)]
    experts_alone.check_same(*values, atol=0)


@pytest.mark.parametrize("layer", [MixtureOfExperts, MixtureOfExperts2D])
def test_evaluation_is_deterministic_by_default(layer, monkeypatch):
    """Mesh-TF's default uses the second expert at random in evaluation."""

    def random_uniform(mesh, shape, **kwargs):
        raise AssertionError("drawn")

    monkeypatch.setattr(mtf, "random_uniform", random_uniform)
    experts = layer(hidden_size=6)
    for exact in (True, False):
        assert np.abs(experts_alone.run(experts, exact=exact)["y"]).max() > 0
    for drawing in (layer(hidden_size=6, second_policy_eval="random"), moe.MoE1D(hidden_size=6)):
        with pytest.raises(AssertionError, match="drawn"):
            experts_alone.run(drawing, sequence_id=np.ones([4, 12]))


@pytest.mark.parametrize("gating", ["top_2", "two levels"])
@pytest.mark.parametrize("exact", [True, False])
def test_bfloat16_is_close_to_float32(gating, exact):
    """Every token has the same experts, unlike in Mesh-TF, whose router rounds its weights."""
    x = X.astype(tf.bfloat16.as_numpy_dtype).astype(np.float32)
    expected = y_of(gating, x, exact, **roomy(gating))
    experts = tight(gating, **roomy(gating))
    values = experts_alone.run(experts, x=x, exact=exact, dtype=tf.bfloat16)
    error = np.linalg.norm(values["y"] - expected, axis=-1)
    np.testing.assert_array_less(error, 0.02 * np.linalg.norm(expected, axis=-1))


@pytest.mark.parametrize(
    "mode, factor, marked, expected",
    [
        ("train", None, True, False),
        ("eval", 2.0, False, False),
        ("eval", 2.0, True, True),
        ("eval", None, False, True),
        ("first_part", 2.0, False, True),
        ("incremental", 2.0, False, True),
    ],
)
def test_when_tokens_are_dropped(mode, factor, marked, expected):
    """Never in decoding, in a marked graph or without a factor; expert choice always has slots."""
    context = types.SimpleNamespace(mode=mode, train=mode == "train")
    with tf.Graph().as_default():
        if marked:
            graph_marks.forbid_token_dropping()
        top_2 = MixtureOfExperts(capacity_factor_eval=factor).gating
        assert undropped.drops_no_token(context, top_2) is expected
        assert not graph_marks.caveats()
        assert not undropped.drops_no_token(context, tight("expert_choice").gating)


@pytest.mark.parametrize(
    "where", [{"exact": True}, {"mode": "incremental"}, {"mode": "first_part"}], ids=str
)
def test_expert_choice_adds_a_caveat(where, monkeypatch):
    said = []
    monkeypatch.setattr(graph_marks, "add_caveat", said.append)
    x = X[:, 5] if where.get("mode") == "incremental" else X
    values = experts_alone.run(tight("expert_choice"), x=x, **where)
    assert np.abs(values["y"]).max() > 0
    assert len(set(said)) == 1 and "the other texts of the batch" in said[0]
