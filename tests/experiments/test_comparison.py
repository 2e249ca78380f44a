"""Sentences of a comparison, from made-up numbers."""

import pytest

from primer.experiments import comparison
from tests.experiments.results import BASE, result


def test_the_time_at_which_a_curve_reaches_a_loss():
    rows = BASE["checkpoints"]
    assert comparison.seconds_to_reach(rows, 4.0) == 15.0
    assert comparison.seconds_to_reach(rows, 4.5) == pytest.approx(12.5)
    assert comparison.seconds_to_reach(rows, 7.0) == 5.0
    assert comparison.seconds_to_reach(rows, 3.9) is None


def test_a_better_and_slower_model():
    better = result("primer", [5.5, 4.0, 3.0], speed=0.5)
    leaders, tokens, time = comparison.comparison_sentences([BASE, better])
    # After 15 s, the end of the Transformer, Primer is between its evaluations at 10 and 20 s.
    assert leaders.startswith("Lowest perplexity after the same tokens: Primer (20.1); after")
    assert "After the same 3,000 tokens: Primer 20.1, Transformer 54.6" in tokens
    assert "(63.2% lower)" in tokens
    assert "took 2.00 times the Transformer's time" in time
    assert "at about 1.33 of the Transformer's time" in time


def test_a_difference_has_its_own_error():
    better = result("primer", [5.5, 4.0, 3.9])
    numbers = {"value": -0.1, "standard_error": 0.0123, "documents": 12, "remark": None}
    _, tokens, _ = comparison.comparison_sentences([BASE, {**better, "difference": numbers}])
    expected = "9.5% lower; -0.1000 nats per token, standard error 0.0123, paired over 12 documents"
    assert f"({expected})." in tokens
    unknown = {**numbers, "remark": "the text is one document"}
    _, tokens, _ = comparison.comparison_sentences([BASE, {**better, "difference": unknown}])
    assert "(9.5% lower)." in tokens


def test_a_loss_below_from_the_first_evaluation_on():
    better = result("primer", [3.0, 2.0, 1.0])
    *_, time = comparison.comparison_sentences([better, BASE])
    assert "at or before 0.33 of the Transformer's time" in time


def test_a_worse_model_is_called_worse():
    worse = result("primer", [6.5, 5.5, 4.5])
    _, tokens, time = comparison.comparison_sentences([BASE, worse])
    assert "% higher" in tokens
    assert "did not reach the Transformer's last loss" in time
