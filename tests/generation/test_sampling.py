"""How a token is drawn: the distribution, the cuts, and that chance belongs to the text."""

import numpy as np
import pytest

from primer.errors import UsageError
from primer.generation.sampling import Sampling, sequence_rng

LOGITS = np.log([0.1, 0.4, 0.3, 0.15, 0.05])


def frequencies(sampling, logits=LOGITS, draws=4000):
    chance = np.random.default_rng(0)
    drawn = [sampling.draw(logits, chance) for _ in range(draws)]
    return np.bincount(drawn, minlength=len(logits)) / draws


def test_temperature_one_is_the_models_distribution():
    np.testing.assert_allclose(frequencies(Sampling()), np.exp(LOGITS), atol=0.03)


def test_temperature_sharpens():
    expected = np.exp(LOGITS * 2) / np.exp(LOGITS * 2).sum()
    np.testing.assert_allclose(frequencies(Sampling(temperature=0.5)), expected, atol=0.03)


def test_temperature_zero_takes_the_best():
    assert frequencies(Sampling(temperature=0), draws=20)[1] == 1


def test_top_k_keeps_the_best():
    np.testing.assert_allclose(frequencies(Sampling(top_k=2)), [0, 4 / 7, 3 / 7, 0, 0], atol=0.03)


@pytest.mark.parametrize(
    "top_p, kept", [(0.39, [1]), (0.41, [1, 2]), (0.7, [1, 2]), (0.86, [1, 2, 3, 0]), (1.0, None)]
)
def test_top_p_keeps_the_fewest_that_reach_it(top_p, kept):
    found = np.flatnonzero(frequencies(Sampling(top_p=top_p)))
    assert set(found) == set(range(5) if kept is None else kept)


def test_top_p_looks_at_the_distribution_after_temperature():
    """At half the temperature the best token has more than half of the probability."""
    assert set(np.flatnonzero(frequencies(Sampling(temperature=0.5, top_p=0.5)))) == {1}


def test_top_k_comes_before_top_p():
    # Among the two best, 4/7 is enough for 0.5.
    assert set(np.flatnonzero(frequencies(Sampling(top_k=2, top_p=0.5)))) == {1}


def test_forbidden_tokens_are_never_drawn():
    logits = np.where(np.arange(5) == 1, -np.inf, LOGITS)
    for sampling in (Sampling(), Sampling(temperature=0), Sampling(top_p=1.0), Sampling(top_k=5)):
        assert frequencies(sampling, logits, draws=200)[1] == 0


def test_more_tokens_than_top_k_is_all():
    np.testing.assert_allclose(frequencies(Sampling(top_k=99)), np.exp(LOGITS), atol=0.03)


def test_large_logits_do_not_overflow():
    assert Sampling().draw(np.array([1e5, 0.0, -1e5]), np.random.default_rng(0)) == 0


def test_the_random_generator_depends_on_seed_prompt_and_sample_only():
    first = sequence_rng(1, 2, 3).random()
    assert first == sequence_rng(1, 2, 3).random()
    others = {sequence_rng(*key).random() for key in ((2, 2, 3), (1, 3, 3), (1, 2, 4))}
    assert len(others) == 3 and first not in others


@pytest.mark.parametrize(
    "settings, name",
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"top_k": 0}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
    ],
)
def test_values_out_of_range_are_refused(settings, name):
    with pytest.raises(UsageError, match=f"{name} = "):
        Sampling(**settings)
