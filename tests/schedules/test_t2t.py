"""Tensor2Tensor's factors and legacy schemes, against its formulas in NumPy."""

import numpy as np
import pytest

from primer import schedules
from primer.errors import UsageError
from primer.schedules import t2t
from tests.schedules import values

WARMUP, TOTAL, WIDTH = 400, 10_000, 512
FACTORS = {
    "constant": lambda t, d: np.full(t.shape, 2.0),
    "linear_warmup": lambda t, d: np.minimum(1.0, t / WARMUP),
    "rsqrt_decay": lambda t, d: np.maximum(t, WARMUP) ** -0.5,
    "rsqrt_normalized_decay": lambda t, d: WARMUP**0.5 * np.maximum(t, WARMUP) ** -0.5,
    "rsqrt_hidden_size": lambda t, d: np.full(t.shape, WIDTH**-0.5),
    "linear_decay": lambda t, d: np.clip((TOTAL - t) / d, 0, 1),
    # Tensor2Tensor's is 0.5 * (1 + cos(pi * t / d)) after the warmup.
    "cosdecay": lambda t, d: 0.5 * (1 + np.cos(np.pi * np.clip((t - WARMUP) / (d - WARMUP), 0, 1))),
    "single_cycle_cos_decay": lambda t, d: (
        np.cos((np.clip(t, WARMUP, TOTAL) - WARMUP) * np.pi / (TOTAL - WARMUP)) / 2 + 0.5
    ),
    "multi_cycle_cos_decay": lambda t, d: (
        np.cos((np.maximum(t, WARMUP) - WARMUP) * np.pi / d) / 2 + 0.5
    ),
    "exp_decay": lambda t, d: 0.7 ** np.maximum((t - WARMUP) / d, 0.0),
}
SCHEMES = {
    "none": lambda t: np.ones(t.shape),
    "exp": lambda t: 0.7 ** np.floor((t - WARMUP) / 1000),
    "cosine": lambda t: 0.5 * (1 + np.cos(np.pi * (3000 - np.abs(3000 - t % 6000)) / 3000)),
    "cyclelinear10x": lambda t: (1.0 - np.abs((t % (2 * WARMUP) - WARMUP) / WARMUP) + 0.1) * 3.0,
    "sqrt": lambda t: 500.0 / np.sqrt(np.maximum(t - WARMUP, 1.0)),
    "piecewise": lambda t: np.where(t > 4000, 0.1, np.where(t > 2000, 0.5, 1.0)),
}
STEPS = values.steps_of(TOTAL, WARMUP, 1000, 2000, 3000, 4000, 7000)


def rates(factors, steps=STEPS, total=TOTAL, **settings):
    settings = {"learning_rate": 2.0, "warmup_steps": WARMUP, "hidden_size": WIDTH, **settings}
    return values.rates(schedules.t2t_schedule, steps, total, factors=factors, **settings)


@pytest.mark.parametrize("decay_steps", [3000, 0.3, None])
@pytest.mark.parametrize("name", FACTORS)
def test_each_factor(name, decay_steps):
    expected = FACTORS[name](STEPS.astype(np.float64), 3000 if decay_steps else TOTAL)
    found = rates(name, decay_steps=decay_steps, decay_rate=0.7)
    values.assert_close(found, expected, expected.max())


def test_every_factor_has_a_formula():
    assert set(t2t.FACTORS) == {*FACTORS, "legacy"}


def test_a_product_of_factors():
    names = ["constant", "linear_warmup", "rsqrt_decay", "rsqrt_hidden_size"]
    expected = np.prod([FACTORS[name](STEPS * 1.0, None) for name in names], axis=0)
    for text in (" * ".join(names), "*".join(names), f"  {' *'.join(names)} "):
        values.assert_close(rates(text), expected, expected.max())
    default = values.rates(
        schedules.t2t_schedule,
        STEPS,
        TOTAL,
        learning_rate=2.0,
        warmup_steps=WARMUP,
        hidden_size=WIDTH,
    )
    values.assert_close(default, expected, expected.max())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_legacy_scheme(scheme):
    t = STEPS.astype(np.float64)
    warmup = np.exp(np.log(0.01) / WARMUP) ** (WARMUP - t)
    expected = 2.0 * 0.002 * np.where(t < WARMUP, warmup, SCHEMES[scheme](t))
    found = rates(
        "legacy",
        scheme=scheme,
        decay_steps=1000,
        decay_rate=0.7,
        staircase=True,
        cycle_steps=3000,
        boundaries=[2000, 4000],
        multiples=[0.5, 0.1],
        legacy_factor=0.002,
    )
    values.assert_close(found, expected, expected.max())


def test_legacy_noam():
    t = STEPS.astype(np.float64)
    expected = 5000 * WIDTH**-0.5 * np.minimum((t + 1) * WARMUP**-1.5, (t + 1) ** -0.5) * 0.1
    values.assert_close(rates("legacy", learning_rate=0.1), expected, expected.max())


def test_ten_million_steps_are_exact():
    """In float32 the base of the exponential warmup and the phase of the waves are rounded."""
    total, warmup = values.LONG, 4_000_000
    steps = values.steps_of(total, warmup)
    t = steps.astype(np.float64)
    legacy = np.where(t < warmup, 0.01 ** ((warmup - t) / warmup), 1.0)
    found = rates("legacy", steps, total, scheme="none", warmup_steps=warmup, learning_rate=1.0)
    values.assert_close(found, legacy, 1.0)
    waves = np.cos((np.maximum(t, 100) - 100) * np.pi / 3000) / 2 + 0.5
    found = rates("multi_cycle_cos_decay", steps, total, decay_steps=3000, warmup_steps=100)
    values.assert_close(found, waves, 1.0)


def test_cosdecay_does_not_jump_where_the_warmup_ends():
    """Tensor2Tensor's falls from 1 to 0.5 * (1 + cos(pi * 400 / 3000)) = 0.957 there."""
    found = rates("cosdecay", np.array([WARMUP, WARMUP + 1]), decay_steps=3000)
    assert found[0] == 1 and found[0] - found[1] < 1e-6


@pytest.mark.parametrize(
    "factors, settings, message",
    [
        (
            "constant * warmup",
            {},
            "'warmup' is no factor; expected .* constant, linear_warmup, rsq",
        ),
        ("constant *", {}, "'' is no factor"),
        ("", {}, "'' is no factor"),
        (["constant"], {}, "'' is no factor"),
        ("legacy", {"scheme": "noan"}, "scheme = 'noan': expected one of noam, none, exp, cosine"),
        ("rsqrt_hidden_size", {"hidden_size": None}, "set d_model, or list a file of sizes/"),
        ("rsqrt_decay", {"warmup_steps": 0}, "warmup_steps = 0: .* with rsqrt_decay"),
        ("legacy", {"warmup_steps": 0}, "warmup_steps = 0: .* with the scheme noam"),
        ("linear_decay", {"decay_steps": 0}, "decay_steps = 0: expected a number above 0"),
        ("constant", {"learning_rate": -1}, "learning_rate = -1: expected a learning rate"),
        (
            "legacy",
            {"scheme": "piecewise", "boundaries": [5, 3], "multiples": [1.0, 2.0]},
            "boundaries = .*in increasing order",
        ),
        (
            "legacy",
            {"scheme": "piecewise", "boundaries": [3], "multiples": [1.0, 2.0]},
            "multiples = .*expected 1 numbers",
        ),
    ],
)
def test_errors(factors, settings, message):
    with pytest.raises(UsageError, match=message):
        rates(factors, **settings)


def test_no_warmup_is_no_warmup():
    assert (rates("linear_warmup", warmup_steps=0) == 1).all()
    assert (rates("legacy", scheme="none", warmup_steps=0, learning_rate=1.0) == 1).all()


@pytest.mark.parametrize(
    "factors, highest",
    [
        ("constant * linear_warmup * rsqrt_decay * rsqrt_hidden_size", 1e-3 * (400 * 512) ** -0.5),
        ("constant * rsqrt_decay", 1e-3 * 400**-0.5),
        ("constant * linear_warmup * rsqrt_normalized_decay", None),
    ],
)
def test_a_learning_rate_as_the_constant_is_remarked_with_what_comes_out(factors, highest):
    def found(rate):
        return values.rates_and_remarks(
            schedules.t2t_schedule,
            STEPS,
            TOTAL,
            learning_rate=rate,
            factors=factors,
            warmup_steps=WARMUP,
            hidden_size=WIDTH,
        )

    small, remarks = found(1e-3)
    if highest is None:
        assert not remarks
    else:
        assert small.max() == pytest.approx(highest, rel=1e-5)
        assert len(remarks) == 1 and f"its highest rate is {highest:.3g}." in remarks[0]
    assert not found(2.0)[1]
