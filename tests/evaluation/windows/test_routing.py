"""Statistics of routers in evaluation: of the tokens that were read, without changing a loss."""

import gin
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from tests.evaluation import tiny

# Two texts; the last row and the ends are padding.
IDS = np.random.default_rng(0).integers(3, 200, [3, tiny.LENGTH])
IDS[0, 5:] = IDS[2, 9:] = 0
REAL = int((IDS > 0).sum())


@pytest.fixture(autouse=True)
def two_of_four_experts():
    tiny.configure("transformer", "relu")
    gin.parse_config_file("architectures/fastmoe.gin")
    gin.parse_config(["num_experts = 4", "num_layers = 1"])


def prefer(made, *experts):
    """Sets the router's bias so that all tokens choose these experts."""
    with made._session.graph.as_default():
        [bias] = [v for v in tf.global_variables() if "gating/bias" in v.name]
        bias.load(np.isin(np.arange(4), experts) * 50.0, made._session)


def statistics(**settings):
    """Returns a scorer of random weights, its losses, and the statistics of its router."""
    made = tiny.scorer(router_statistics=True, **settings)
    tiny.randomize(made)
    nats = made.nats(IDS)
    [(name, found)] = made.routing.as_result().items()
    assert name == "transformer/block_000/layer_001/MoE1D/naive_router"
    return made, nats, found


def test_losses_are_as_without_statistics():
    _, nats, found = statistics()
    plain = tiny.scorer()
    tiny.randomize(plain)
    np.testing.assert_array_equal(plain.nats(IDS), nats)
    assert plain.routing.as_result() == {}
    assert sum(found["load"]) == pytest.approx(1.0, abs=1e-5) and found["dropped_tokens"] == 0.0
    assert 0.1 < found["entropy"] < np.log(4)


def test_tokens_are_counted_and_padding_is_not():
    made, _, _ = statistics()
    made.routing.reset()
    prefer(made, 1, 3)
    made.nats(IDS)
    [found] = made.routing.as_result().values()
    assert found["load"] == [0.0, 0.5, 0.0, 0.5]
    assert made.routing._tokens == REAL and made.routing._counts[0].sum() == 2 * REAL
    assert 0.3 < found["entropy"] <= np.log(2) + 1e-6


def test_a_mesh_counts_the_same():
    where = dict(mesh_shape="rows:2", layout_rules="batch:rows,experts:rows")
    _, _, expected = statistics()
    _, _, found = statistics(**where)
    assert found["load"] == expected["load"]
    assert found["entropy"] == pytest.approx(expected["entropy"], rel=1e-5)
