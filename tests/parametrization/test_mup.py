"""Rates, decays, initial values and logits at other widths equal those of the PyPI package mup.

tests/golden/mup.json has what mup 1.0.0 with torch 2.13.0 does with a small language model whose
base width is 64, at widths 64, 256 and 1,024: of each weight the `lr` and `weight_decay` of its
group in MuAdam, MuAdamW and MuSGD, the standard deviations after `mup.init.normal_`,
`kaiming_normal_` and `xavier_normal_`, and of MuReadout the multiplier and the deviation of its own
initial values. The router is a MuReadout, as every weight from a width to a fixed number.
"""

import functools
import json

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow import optimize

from primer.errors import UsageError
from primer.layers.initializers import weight_initializer
from primer.optimizers.adamw import AdamWOptimizer
from primer.optimizers.muon import MuonOptimizer
from primer.parametrization import mup
from tests.paths import GOLDEN

FACTS = json.loads((GOLDEN / "mup.json").read_text())
RATE, DECAY, STDDEV = (FACTS[key] for key in ("rate", "decay", "stddev"))
WEIGHTS = [
    pytest.param(found["width"] / FACTS["base_width"], name, weight, id=f"{found['width']}-{name}")
    for found in FACTS["widths"]
    for name, weight in found["weights"].items()
]
BASE = FACTS["widths"][0]["weights"]
OPTIMIZERS = {
    "adam": AdamWOptimizer(RATE),
    "adamw": optimize.AdamWeightDecayOptimizer(RATE),
    "sgd": optimize.SgdOptimizer(RATE),
}


def shape_of(weight):
    return mtf.Shape([mtf.Dimension(*dim) for dim in zip(weight["dims"], weight["sizes"])])


def variable(name, weight):
    graph = mtf.Graph()
    with tf.Graph().as_default():
        mtf.get_variable(mtf.Mesh(graph, "mesh"), name, shape_of(weight))
    return graph.trainable_variables[0]


def is_router(name):
    return "gating" in name


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("m", "name", "weight"), WEIGHTS)
def test_rates_equal_those_of_mup(m, name, weight, optimizer):
    factor = mup.rate(OPTIMIZERS[optimizer], variable(name, weight), m)
    expected = weight[optimizer]["rate"] / RATE
    if is_router(name):
        # W' = W / m has the gradient m times as large, and moves by 1 / m of what W does.
        expected *= {"sgd": 1 / m**2}.get(optimizer, 1 / m)
    assert factor == pytest.approx(expected)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize(("m", "name", "weight"), WEIGHTS)
def test_in_mup_too_rate_times_decay_is_the_base_models(m, name, weight, optimizer):
    """`decay_learning_rate` of `base.Optimizer` is without the factor."""
    group = weight[optimizer]
    assert group["rate"] * group["decay"] == pytest.approx(RATE * DECAY)


@pytest.mark.parametrize(
    ("m", "name", "weight"), [w for w in WEIGHTS if w.values[2]["deviation_normal"]]
)
def test_a_fixed_deviation_is_that_of_mup(m, name, weight):
    initializer = weight_initializer(
        f"transformer/{name}",
        tf.random_normal_initializer(),
        shape_of(weight),
        weight_stddev=STDDEV,
        width_multiplier=m,
    )
    effective = m if is_router(name) else 1.0  # The multiplier is in the values.
    check_deviation(initializer.stddev * effective, weight["deviation_normal"], weight)


def check_deviation(ours, measured, weight):
    """Compares with a standard deviation that was measured: to five standard errors."""
    np.testing.assert_allclose(ours, measured, rtol=5 / np.sqrt(2 * np.prod(weight["sizes"])))


@pytest.mark.parametrize("name", ["embedding", "layer_000/SelfAttention/q", "wi/kernel", "logits"])
@pytest.mark.parametrize("number", [1, 2])
def test_initial_values_by_fan_in_are_those_of_mup(number, name):
    """Mesh-TF's own: 1 / sqrt(fan-in), but of tables a number."""
    full = next(key for key in BASE if name in key)
    weight, base = FACTS["widths"][number]["weights"][full], BASE[full]
    m = FACTS["widths"][number]["width"] / FACTS["base_width"]
    own = mtf.layers.VarianceScalingInitializer()
    initializer = own([shape_of(weight).dims[0]], [shape_of(weight).dims[1]])
    factor = mup.own_deviation(full, shape_of(weight), m, initializer)
    if name == "embedding":
        assert factor == 1.0
        check_deviation(base["deviation_kaiming"], weight["deviation_kaiming"], weight)
    else:
        check_deviation(initializer.stddev * factor, weight["deviation_kaiming"], weight)


@pytest.mark.parametrize("number", [1, 2])
def test_relative_biases_of_glorots_initializer_are_those_of_mup(number):
    name = next(key for key in BASE if "relative" in key)
    weight = FACTS["widths"][number]["weights"][name]
    m = FACTS["widths"][number]["width"] / FACTS["base_width"]
    glorot = tf.glorot_uniform_initializer()
    stddev = np.sqrt(2 / sum(weight["sizes"]))
    factor = mup.own_deviation(name, shape_of(weight), m, glorot)
    assert factor > 1.0
    check_deviation(stddev * factor, weight["deviation_xavier"], weight)


@pytest.mark.parametrize("found", FACTS["widths"], ids=lambda found: str(found["width"]))
def test_the_factor_of_an_untied_output_is_that_of_mup(found):
    """MuReadout multiplies its input and keeps the base model's initial deviation."""
    m = found["width"] / FACTS["base_width"]
    assert found["readout_multiplier"] == pytest.approx(1 / m)
    # torch draws uniformly: the deviation is 1 / sqrt(3 * fan-in).
    kernel = found["weights"]["logits/kernel"]
    own = (3 * found["width"]) ** -0.5
    factor = mup.own_deviation("logits/kernel", shape_of(kernel), m, None)
    check_deviation(own * factor, found["readout_own_deviation"], kernel)


SHAPES = {
    "block/q": ("hidden", "d_model heads"),
    "block/split_q": ("hidden", "d_model heads d_kv"),
    "block/o": ("hidden", "heads d_model"),
    "block/q_solo_project/kernel": ("hidden", "_heads heads"),
    "block/wi/kernel": ("hidden", "experts d_model expert_hidden"),
    "block/wo/kernel": ("hidden", "ensemble experts expert_hidden d_model"),
    "block/k": ("narrow", "d_model d_kv"),
    "block/switch_gating/kernel": ("narrow", "d_model expert_unsplit"),
    "block/pi/kernel": ("input", "heads d_kv memory_position"),
    "block/relative_attention_bias": ("input", "heads buckets"),
    "block/spatial_gate": ("input", "heads gated_length"),
    "block/persistent_keys": ("input", "heads persistent d_kv"),
    "block/R": ("input", "query_position heads memory_position"),
    "block/conv_0": ("input", "heads d_kv"),
    "value_embedding_0": ("input", "vocab value_embedding"),
    "embedding": ("input", "vocab d_model"),
    "logits/kernel": ("output", "d_model vocab"),
    "block/q_norm/scale": ("scalar", "d_kv"),
    "gate": ("scalar", "gate_channels"),
    "scale_norm/scale": ("scalar", ""),
}


@pytest.mark.parametrize(("name", "kind", "dims"), [(n, *v) for n, v in SHAPES.items()])
def test_the_kind_of_a_weight(name, kind, dims):
    shape = mtf.Shape([mtf.Dimension(dim, 8) for dim in dims.split()])
    assert mup.kind(f"transformer/{name}", shape) == kind


@pytest.mark.parametrize("name", SHAPES)
def test_at_the_base_width_all_factors_are_1(name):
    shape = mtf.Shape([mtf.Dimension(dim, 8) for dim in SHAPES[name][1].split()])
    assert mup.deviation(name, shape, 1.0) == 1.0
    assert mup.own_deviation(name, shape, 1.0, tf.glorot_uniform_initializer()) == 1.0


def rate_of(optimizer, name="block/q", dims=("d_model", "heads")):
    var = variable(name, {"dims": dims, "sizes": [8] * len(dims)})
    return mup.rate(optimizer, var, 4.0)


def test_the_rate_of_adafactor_depends_on_its_parameter_scale():
    made = optimize.AdafactorOptimizer
    with tf.Graph().as_default():
        assert rate_of(made(learning_rate=0.1)) == 0.5
        assert rate_of(made(learning_rate=0.1, multiply_by_parameter_scale=False)) == 0.25
        excluded = made(learning_rate=0.1, exclude_from_parameter_scale=["block"])
        assert rate_of(excluded) == 0.25
        router = {"name": "switch_gating/kernel", "dims": ("d_model", "expert_unsplit")}
        assert rate_of(made(learning_rate=0.1), **router) == 1.0


@pytest.mark.parametrize(("scale", "power"), [("spectral", 0.0), ("orthogonal", 0.5)])
def test_the_rate_of_orthogonal_updates_keeps_the_change_of_outputs(scale, power):
    """An orthogonalized gradient of few inputs changes their products by as much at every width."""
    changes = []
    for width in (64, 256):
        random = np.random.default_rng(0)
        inputs = random.normal(size=[4, width])
        gradient = inputs.T @ random.normal(size=[4, width])  # [inputs, outputs]
        u, s, v = np.linalg.svd(gradient, full_matrices=False)
        update = (u * (s > 1e-6 * s[0])) @ v
        update *= {"spectral": 1.0, "orthogonal": 0.2 * width**0.5}[scale]
        changes.append(np.abs(inputs @ update).mean())

    class Optimizer(AdamWOptimizer):
        update_size = scale

    factor = rate_of(Optimizer(RATE))
    assert factor == pytest.approx(4.0**-power)
    assert factor * changes[1] / changes[0] == pytest.approx(1.0, rel=0.1)


def test_the_rate_of_orthogonal_updates_of_single_heads_is_that_of_adam():
    """Wider models have more of them, and no larger ones."""
    made = functools.partial(MuonOptimizer, RATE, per_head=True, head_size=2)
    for matrix in ({}, {"dims": ("heads", "d_model")}):
        assert rate_of(made(), **matrix) == 0.25
    feed_forward = {"dims": ("d_model", "d_ff")}
    assert rate_of(made(), **feed_forward) == 0.5
    assert rate_of(made(update_scale="spectral"), **feed_forward) == 1.0
    with pytest.raises(UsageError, match='per_head = True needs update_scale = "rms"'):
        rate_of(made(update_scale="spectral"))


def test_an_optimizer_of_unknown_updates_is_refused():
    class Mystery:
        pass

    with pytest.raises(
        UsageError, match="base_width with utils.run.optimizer = @Mystery: the size"
    ):
        rate_of(Mystery())


@pytest.mark.parametrize("value", [0, -64, "64", True, float("nan"), float("inf")])
def test_a_wrong_base_width_is_refused(value):
    with pytest.raises(UsageError, match="base_width = .*: expected a number above 0"):
        mup.width_multiplier(128, value)


def test_the_width_multiplier_need_not_be_whole():
    assert mup.width_multiplier(96, 64) == 1.5
    assert mup.width_multiplier(96) is None
