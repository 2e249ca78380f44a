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
    tokens, time = comparison.comparison_sentences([BASE, better])
    assert "After the same 3,000 tokens: Primer 20.1, Transformer 54.6" in tokens
    assert "(63.2% lower)" in tokens
    assert "took 2.00 times the Transformer's time" in time
    assert "at about 1.33 of the Transformer's time" in time


def test_a_loss_below_from_the_first_evaluation_on():
    better = result("primer", [3.0, 2.0, 1.0])
    _, time = comparison.comparison_sentences([better, BASE])
    assert "at or before 0.33 of the Transformer's time" in time


def test_a_worse_model_is_called_worse():
    worse = result("primer", [6.5, 5.5, 4.5])
    tokens, time = comparison.comparison_sentences([BASE, worse])
    assert "% higher" in tokens
    assert "did not reach the Transformer's last loss" in time
