"""Balance losses against their equations in numpy, and through a whole layer."""

import types

import mesh_tensorflow as mtf
import numpy as np
import tensorflow.compat.v1 as tf

from primer.layers import MixtureOfExperts
from primer.layers.experts import balance, choices
from tests.layers import helpers
from tests.layers.experts.routing_oracle import EXPERTS, TOKENS, distribution, loss_of

P = np.random.default_rng(0).dirichlet(np.ones(4), [2, 5]).astype(np.float32)
NAMES = ("batch", "group", "experts")


def balance_product(p, f):
    """E sum_e f_e P_e, the mean over groups; p and f are `[groups, tokens, experts]`."""
    return EXPERTS * (p.mean(1) * f.mean(1)).sum(-1).mean()


def run(function, importance=None):
    """Returns the value of a loss of p `[batch, group, experts]`."""
    with helpers.bench() as b:
        p = b.put(P, *NAMES)
        if importance is not None:
            importance = b.put(importance.astype(np.float32), "batch", "group")
        return b.run({"loss": function(p, *p.shape.dims[:0:-1], importance)})["loss"]


def switch_loss(p, experts_dim, group_dim, importance):
    index = mtf.argmax(p, experts_dim)
    mask = mtf.one_hot(index, experts_dim, dtype=p.dtype)
    return balance.switch_loss(p, mask, experts_dim, group_dim, importance)


def ranked_loss(p, experts_dim, group_dim, importance):
    ranks = choices.best(p, experts_dim, 2, importance)
    return balance.ranked_loss(p, ranks, experts_dim, group_dim, importance, second_place=False)


def test_loss_of_the_best_expert():
    expected = balance_product(P, np.eye(4)[P.argmax(-1)])
    np.testing.assert_allclose(run(switch_loss), expected, rtol=1e-5)
    np.testing.assert_allclose(run(ranked_loss), expected, rtol=1e-5)


def test_padding_lowers_the_loss_as_released():
    """Switch multiplies by the share of text; top-n counts padding in the means' denominators."""
    real = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
    best = np.eye(4)[P.argmax(-1)]
    groups = EXPERTS * (P.mean(1) * best.mean(1)).sum(-1)
    np.testing.assert_allclose(run(switch_loss, real), (groups * [0.6, 0.8]).mean(), rtol=1e-5)
    kept = real[..., None]
    np.testing.assert_allclose(
        run(ranked_loss, real), balance_product(P * kept, best * kept), rtol=1e-5
    )


def test_loss_of_tokens_is_least_where_they_share_the_experts_equally():
    p = P / P.sum(1, keepdims=True)
    with helpers.bench() as b:
        values = b.run(
            {
                name: balance.tokens_loss(t, *t.shape.dims[:0:-1], None)
                for name, t in (
                    ("p", b.put(p, *NAMES)),
                    ("uniform", b.put(np.full([2, 5, 4], 0.2, np.float32), *NAMES)),
                )
            }
        )
    np.testing.assert_allclose(values["p"], 25 * (p.mean(-1) ** 2).mean(), rtol=1e-5)
    np.testing.assert_allclose(values["uniform"], 1.0, rtol=1e-5)
    assert values["p"] > 1.01


def test_the_loss_of_a_layer_is_multiplied_by_its_coefficient():
    gating = MixtureOfExperts(loss_coef=0.25).gating
    with helpers.bench() as b:
        model = types.SimpleNamespace()
        context = types.SimpleNamespace(losses=[], model=model)
        balance.add_loss(context, b.put(np.float32(3.0)), gating, tf.bfloat16)
        (loss,) = context.losses
        assert loss.dtype == tf.bfloat16
        assert b.run({"loss": mtf.to_float(loss)})["loss"] == 0.75
        no_losses = types.SimpleNamespace(losses=None, model=model)
        before = len(b.graph.operations)
        balance.add_loss(no_losses, b.put(np.float32(3.0)), gating, tf.float32)
        assert no_losses.losses is None and len(b.graph.operations) == before + 1  # The import.


def test_balance_loss_of_second_choices():
    """Mesh-TF's top_n uses the third choices instead, and fails with two experts per token."""
    p = distribution("top_n", TOKENS, None)
    ranks = np.argsort(-p, -1)
    first, second = (np.eye(EXPERTS)[ranks[..., i]] for i in (0, 1))
    rest = p * (1 - first)
    rest /= rest.sum(-1, keepdims=True)
    expected = balance_product(p, first) + 0.5 * balance_product(rest, second)
    for count in (2, 3):
        loss = loss_of("top_n", num_experts_per_token=count, use_second_place_loss=True)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
