"""Power laws of losses: known constants, outliers, a pinned asymptote, an independent fitter."""

import numpy as np
import pytest

from primer.experiments.fits import power_law

# Hoffmann et al. (2022), equation 10.
E, A, B, ALPHA, BETA = 1.69, 406.4, 410.7, 0.34, 0.28


def chinchilla(sizes, tokens):
    return E + A / sizes**ALPHA + B / tokens**BETA


def grid():
    sizes, tokens = np.meshgrid(np.geomspace(5e7, 1.6e10, 6), np.geomspace(1e9, 5e11, 6))
    return np.column_stack([sizes.ravel(), tokens.ravel()])


def test_the_published_constants_are_recovered():
    variables = grid()
    found = power_law.fit(variables, chinchilla(*variables.T))
    assert found.is_determined
    assert found.asymptote == pytest.approx(E, rel=1e-4)
    assert found.factors == pytest.approx((A, B), rel=1e-3)
    assert found.exponents == pytest.approx((ALPHA, BETA), rel=1e-3)
    assert found.losses(variables) == pytest.approx(chinchilla(*variables.T), rel=1e-6)


def test_outliers_hardly_matter():
    variables = grid()
    losses = chinchilla(*variables.T)
    losses[[3, 17, 30]] *= 1.3
    found = power_law.fit(variables, losses)
    assert found.asymptote == pytest.approx(E, rel=1e-3)
    assert found.exponents == pytest.approx((ALPHA, BETA), rel=1e-2)


def test_it_agrees_with_another_fitter():
    """PyPI's chinchilla 0.2.0: BFGS in long double, loss_fn = 1e6 * log_huber(..., delta=1e-3)."""
    variables = grid()
    draws = np.random.default_rng(7).normal(scale=0.005, size=36)
    losses = chinchilla(*variables.T) * np.exp(draws)
    found = power_law.fit(variables, losses)
    theirs = power_law.PowerLaw(
        1.6904354680475477,
        (513.9039876854508, 368.95720341866917),
        (0.35395432262662346, 0.27444757577767936),
    )
    # Their gradients are differences: they end a little above the least.
    assert found.objective <= 2.5832556532908812
    assert found.objective == pytest.approx(2.5832556532908812, rel=1e-6)
    assert found.asymptote == pytest.approx(theirs.asymptote, rel=1e-4)
    assert found.exponents == pytest.approx(theirs.exponents, rel=2e-4)
    assert found.factors == pytest.approx(theirs.factors, rel=1e-3)
    assert found.losses(variables) == pytest.approx(theirs.losses(variables), rel=1e-5)


def test_the_gradient_is_that_of_the_objective():
    from scipy import optimize

    variables = grid()[::5]
    for asymptote in (None, 1.2):
        search = power_law.Search(variables, chinchilla(*variables.T), asymptote)
        start = search.starts()[3] + 0.01
        found = optimize.check_grad(
            lambda x, s=search: s.objective(x)[0], lambda x, s=search: s.objective(x)[1], start
        )
        assert found < 1e-4 * np.linalg.norm(search.objective(start)[1])


def test_one_variable_with_and_without_a_pinned_asymptote():
    compute = np.geomspace(1e15, 1e19, 9)[:, None]
    losses = 1.5 + 1e3 * compute[:, 0] ** -0.18
    free = power_law.fit(compute, losses)
    assert (free.asymptote, *free.exponents) == pytest.approx((1.5, 0.18), rel=1e-3)
    pinned = power_law.fit(compute, losses, asymptote=1.5)
    assert pinned.asymptote == 1.5
    assert (*pinned.factors, *pinned.exponents) == pytest.approx((1e3, 0.18), rel=1e-4)
    none = power_law.fit(compute, 1e3 * compute[:, 0] ** -0.18, asymptote=0.0)
    assert (*none.factors, *none.exponents) == pytest.approx((1e3, 0.18), rel=1e-4)
    assert free.variable_at(losses) == pytest.approx(compute[:, 0], rel=1e-3)
    assert np.isinf(free.variable_at(np.array([free.asymptote - 0.1])))[0]
    with pytest.raises(ValueError, match="asymptote = 3"):
        power_law.fit(compute, losses, asymptote=3.0)


def test_what_is_not_identified():
    sizes = np.geomspace(1e6, 1e8, 5)
    ladder = np.column_stack([sizes, 20 * sizes])
    assert "cannot be told apart" in power_law.is_identified(ladder)[0]
    two = np.column_stack([np.tile([1e6, 1e7], 4), np.repeat(np.geomspace(1e7, 1e9, 4), 2)])
    assert "2 different sizes, at least 3" in power_law.is_identified(two)[0]
    assert power_law.is_identified(grid()) == []
