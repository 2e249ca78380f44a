"""The laws of many draws: those that the fit of one set of runs finds."""

import numpy as np
import pytest

from primer.experiments.fits import drawn_laws, power_law


@pytest.mark.parametrize("asymptote", [None, 1.69])
def test_they_are_those_of_the_fit(asymptote):
    sizes, tokens = np.meshgrid(np.geomspace(5e7, 1.6e10, 4), np.geomspace(1e9, 5e11, 4))
    variables = np.column_stack([sizes.ravel(), tokens.ravel()])
    truth = power_law.PowerLaw(1.69, (406.4, 410.7), (0.34, 0.28))
    draws = np.random.default_rng(0).normal(scale=0.002, size=(6, len(variables)))
    losses = truth.losses(variables) * np.exp(draws)
    law = power_law.fit(variables, losses[0], asymptote)
    for found, own in zip(drawn_laws.fit(variables, losses, law, asymptote), losses):
        expected = power_law.fit(variables, own, asymptote)
        assert found.objective == pytest.approx(expected.objective, rel=1e-4)
        assert found.exponents == pytest.approx(expected.exponents, rel=2e-2)
        assert found.losses(variables) == pytest.approx(expected.losses(variables), rel=3e-4)
