"""Rungs have the batches, steps and rates that follow from their counts."""

import pytest

from primer.errors import UsageError
from primer.experiments.ladders import rungs
from tests.experiments.ladders import requests


def test_batches_are_whole_microbatches_and_steps_reach_the_tokens():
    small, large = requests.build(requests.request())
    assert small.base.n == 49_152 + 64_000
    assert (small.rows, large.rows) == (
        round(327_680 * (113_152 / 108e6) ** (2 / 3) / 64 / 32) * 32,
        round(327_680 * (521_216 / 108e6) ** (2 / 3) / 64 / 32) * 32,
    )
    for rung in (small, large):
        assert rung.tokens == rung.steps * rung.rows * 64
        assert abs(rung.tokens - 20 * rung.base.n) <= rung.batch_tokens / 2
        assert set(rung.learning_rates) == {"base", "attention-MDHA"}
        assert rung.counts["attention-MDHA"].parameters == rung.base.parameters + 10
    assert small.learning_rates["base"] == pytest.approx(
        0.00235 * (113_152 / 108e6) ** (-1 / 3), rel=1e-3
    )


@pytest.mark.parametrize("tokens, rows", [(10, 1), (64 * 31, 31), (64 * 70, 64), (64 * 90, 96)])
def test_rows(tokens, rows):
    count = requests.counts(requests.request())[1, "base"]
    assert rungs.rows_of(tokens, count) == rows


def test_nanochats_reference_is_counted():
    asked = requests.request(rule="nanochat")
    assert (12, "base") in rungs.commands(asked)
    (rung, _) = requests.build(asked)
    assert rung.batch_tokens == 2**15
    assert rung.learning_rates["base"] == pytest.approx(6e-4 * (2**15 / 2**19) ** 0.5)


def test_too_few_tokens_are_refused():
    with pytest.raises(UsageError, match=r"--tokens_per_parameter = 0.01.*1,132 tokens.*batch has"):
        requests.build(requests.request(tokens_per_parameter=0.01))


def test_best_rates_are_carried_by_the_exponent():
    built = requests.build(requests.request(rule="sweep"))
    tried = rungs.tried_rates(requests.request(rule="sweep"), built)
    assert len(tried) == 5 and tried[2] == built[0].learning_rates["base"]
    small, large = rungs.with_rates(built, {"base": 1e-2, "attention-MDHA": 2e-2})
    assert small.learning_rates == {"base": 1e-2, "attention-MDHA": 2e-2}
    factor = (521_216 / 113_152) ** (-1 / 3)
    assert large.learning_rates["attention-MDHA"] == pytest.approx(2e-2 * factor, rel=1e-3)
