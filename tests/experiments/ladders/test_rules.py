"""The rules give the numbers that their authors publish."""

import pytest

from primer.experiments.ladders import rules


def basis(n, reference=110_101_632, rate=None, **values):
    given = {
        "tokens_per_parameter": 20.0,
        "usual": {"usual_learning_rate": 6e-4, "usual_weight_decay": 0.1},
        "has_warmup": True,
        "optimizer": "adamw",
        "has_own_schedule": True,
    } | values
    return rules.Basis(n, reference_n=reference, learning_rate=rate, **given)


def test_olmos_rule_at_its_reference_and_by_its_exponents():
    rule = rules.RULES[rules.OLMO]
    assert rule.learning_rate(basis(108_000_000)) == 0.00235
    assert rule.batch_tokens(basis(108_000_000)) == 2048 * 160
    # At an eighth of the parameters twice the rate and a quarter of the batch.
    assert rule.learning_rate(basis(13_500_000)) == pytest.approx(0.0047)
    assert rule.batch_tokens(basis(13_500_000)) == pytest.approx(2048 * 40)
    assert rule.learning_rate(basis(13_500_000, rate=1e-3)) == pytest.approx(2e-3)


def test_olmos_warmup_and_second_moment():
    rule = rules.RULES[rules.OLMO]
    assert rule.settings(basis(10**8), 100) == {
        "gin.warmup_steps": 0.05,  # N of 20 N tokens.
        "gin.AdamWOptimizer.beta2": 0.99,
    }
    assert rule.settings(basis(10**9, tokens_per_parameter=4.0), 100) == {
        "gin.warmup_steps": 0.1,  # At most a tenth.
        "gin.AdamWOptimizer.beta2": 0.95,
    }
    other = basis(10**8, optimizer="lion", has_warmup=False)
    assert rule.settings(other, 100) == {}


@pytest.mark.parametrize(
    "millions, exponent",
    # dev/LOG.md, 2026-02-05: depths 8, 10 and 16, 18 and 26, 32 and 50.
    [(42, 18), (70, 19), (235, 19), (324, 20), (918, 20), (1700, 21), (6200, 21)],
)
def test_nanochats_batches_are_those_of_its_log(millions, exponent):
    rule = rules.RULES[rules.NANOCHAT]
    assert rule.batch_tokens(basis(millions * 10**6)) == 2**exponent


def test_nanochats_rate_and_decay_follow_from_the_batch():
    rule = rules.RULES[rules.NANOCHAT]
    reference = basis(110_101_632)
    assert rule.learning_rate(reference) == 6e-4
    assert rule.settings(reference, 1000) == {
        "gin.weight_decay": 0.1,
        "gin.warmup_steps": 40,
        "gin.cooldown_steps": 0.65,
        "gin.cooldown_form": "linear",
        "gin.final_learning_rate_fraction": 0.05,
    }
    small = basis(42_000_000, rate=1e-3, has_own_schedule=False)  # Half the batch.
    assert rule.learning_rate(small) == rules.rounded(1e-3 * 0.5**0.5)
    assert rule.settings(small, 100) == {
        "gin.weight_decay": rules.rounded(0.1 * 0.5**0.5 * 110_101_632 / 42_000_000),
        "gin.warmup_steps": 0.1,
    }
    assert "gin.weight_decay" not in rule.settings(basis(42_000_000, usual={}), 1000)
