"""Losses as an asymptote and a sum of power laws, fitted as Hoffmann et al. (2022) do.

    L(x_1 ... x_m) = E + A_1 x_1^-alpha_1 + ... + A_m x_m^-alpha_m

With the parameters and the tokens of a model as variables this is "Approach 3" of
https://arxiv.org/abs/2203.15556 (section 3.3 and appendix D.3), with the compute of training alone
L(C) = E + a C^-b. The fit minimizes, over e = log E, a_j = log A_j and alpha_j, the mean over runs
of

    Huber_delta(LSE(e, a_1 - alpha_1 log x_1, ...) - log L)            delta = 1e-3

by L-BFGS from many starts. LSE is the logarithm of the sum of exponentials. The starts are a grid
of exponents, each with the factors that fit it best in least squares: for given exponents the law
is linear in its factors, so that this grid takes the place of theirs over all five parameters.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np

DELTA = 1e-3
# The best of the grid's starts, from which L-BFGS goes on.
STARTS = 8
# Of L-BFGS from each start, before the best of their ends goes on.
_FIRST_STEPS = 20
_MOST_STEPS = 3000
_EXPONENTS = np.geomspace(0.05, 2.0, 8)
_EXPONENT_BOUNDS = (1e-3, 5.0)
# How far below the smallest loss, in log, a term may fall: 1e-9 of it counts as none.
_DEPTH = 20.0


@dataclasses.dataclass(frozen=True)
class PowerLaw:
    """A law of losses.

    Attributes:
        asymptote: E, the loss of infinite variables.
        factors, exponents: A_j and alpha_j of each variable.
        objective: the mean Huber loss in units of DELTA squared.
        is_determined: whether no exponent or term is at a bound of the search.
    """

    asymptote: float
    factors: tuple[float, ...]
    exponents: tuple[float, ...]
    objective: float = math.nan
    is_determined: bool = True

    def losses(self, variables: np.ndarray) -> np.ndarray:
        """Returns the losses `[n]` of variables `[n, m]`."""
        terms = np.array(self.factors) * np.asarray(variables, float) ** -np.array(self.exponents)
        return self.asymptote + terms.sum(-1)

    def variable_at(self, losses: np.ndarray) -> np.ndarray:
        """Returns the variable of a law of one at which it has a loss; infinite at or below E."""
        above = np.asarray(losses, float) - self.asymptote
        with np.errstate(divide="ignore", over="ignore"):
            found = (self.factors[0] / np.maximum(above, 0.0)) ** (1 / self.exponents[0])
        return np.where(above > 0, found, np.inf)


def number_of_parameters(variables: int, asymptote: float | None = None) -> int:
    """Returns how many numbers a fit finds.

    Args:
        variables: the number m of variables.
        asymptote: the pinned E, or None.
    """
    return 2 * variables + (asymptote is None)


def fit(
    variables: np.ndarray,
    losses: np.ndarray,
    asymptote: float | None = None,
) -> PowerLaw:
    """Returns the law of runs.

    Args:
        variables: of each run, `[n, m]`, above 0.
        losses: of each run, `[n]`, in nats or bits.
        asymptote: E where it is not to be fitted, below all losses; 0 for none.

    Raises:
        ValueError: a loss is at or below the pinned asymptote.
    """
    if asymptote is not None and not np.min(losses) > asymptote:
        raise ValueError(f"asymptote = {asymptote}: a loss of {np.min(losses)} is not above it")
    search = Search(np.asarray(variables, float), np.asarray(losses, float), asymptote)
    found = [search.descend(start, steps=_FIRST_STEPS) for start in search.starts()]
    best, _ = min(found, key=lambda one: one[1])
    return search.law(search.descend(best))


class Search:
    """The search for the numbers `[a_1 ... a_m, alpha_1 ... alpha_m, e]` of one set of runs.

    The logarithms of the variables are centred: a_j is the log of the term in the middle of the
    runs, which depends little on alpha_j.

    Args:
        variables: of each run, `[n, m]`.
        losses: of each run, `[n]`.
        asymptote: E where it is pinned.
    """

    def __init__(self, variables: np.ndarray, losses: np.ndarray, asymptote: float | None) -> None:
        logs = np.log(variables)  # [n, m]
        self._centre = logs.mean(0)  # [m]
        self._x = logs - self._centre
        self._y = np.log(losses)  # [n]
        self._losses = losses
        self._m = logs.shape[1]
        self._asymptote = asymptote
        self._lowest = float(self._y.min())
        self._pinned = -np.inf if not asymptote else math.log(asymptote)

    def bounds(self) -> list[tuple[float, float]]:
        """Returns the lowest and the highest value of each number."""
        low = self._lowest - _DEPTH
        found = [(low, float(self._y.max()) + 5)] * self._m + [_EXPONENT_BOUNDS] * self._m
        return found + ([(low, self._lowest)] if self._asymptote is None else [])

    def starts(self) -> list[np.ndarray]:
        """Returns the best starts of the grid of exponents."""
        grid = [self._start(np.array(row)) for row in itertools.product(_EXPONENTS, repeat=self._m)]
        return sorted(grid, key=lambda start: self.objective(start)[0])[:STARTS]

    def _start(self, exponents: np.ndarray) -> np.ndarray:
        """Returns the numbers with these exponents and the factors that fit best, none negative."""
        from scipy import optimize

        terms = np.exp(-exponents * self._x)
        free = self._asymptote is None
        columns = np.column_stack([terms, np.ones(len(terms))]) if free else terms
        rest = self._losses - (self._asymptote or 0.0)
        # Relative errors, as those of logarithms.
        found, _ = optimize.nnls(columns / self._losses[:, None], rest / self._losses)
        logs = np.log(np.maximum(found, math.exp(self._lowest - 6)))
        if free:
            logs[-1] = min(logs[-1], self._lowest - 1e-3)
        return np.concatenate([logs[: self._m], exponents, logs[self._m :]])

    def numbers_of(self, law: PowerLaw) -> np.ndarray:
        """Returns the numbers of a law."""
        low = self._lowest - _DEPTH
        exponents = np.array(law.exponents)
        with np.errstate(divide="ignore"):
            logs = np.maximum(np.log(law.factors) - exponents * self._centre, low)
            rest = [] if self._asymptote is not None else [max(np.log(law.asymptote), low)]
        return np.concatenate([logs, exponents, np.minimum(rest, self._lowest)])

    def objective(self, numbers: np.ndarray) -> tuple[float, np.ndarray]:
        """Returns the mean Huber loss, in units of DELTA squared, and its gradient."""
        found, slopes_of_logs = self.logs_and_slopes(numbers)
        errors = (found - self._y) / DELTA
        slopes = np.clip(errors, -1, 1)
        # 0.5 error^2 up to 1, then |error| - 0.5.
        value = (slopes * (errors - 0.5 * slopes)).mean()
        return float(value), slopes @ slopes_of_logs / (len(self._y) * DELTA)

    def logs_and_slopes(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the logs of the losses of numbers `[..., p]`, and their slopes by the numbers.

        Returns:
            `[..., n]` and `[..., n, p]`.
        """
        m = self._m
        terms = np.empty((*numbers.shape[:-1], len(self._x), m + 1))
        terms[..., :m] = numbers[..., None, :m] - numbers[..., None, m : 2 * m] * self._x
        terms[..., m] = numbers[..., 2 * m, None] if self._asymptote is None else self._pinned
        top = terms.max(-1, keepdims=True)
        shares = np.exp(terms - top)
        total = shares.sum(-1, keepdims=True)
        shares /= total
        own = shares[..., :m]
        parts = [own, -own * self._x, *([shares[..., m:]] if self._asymptote is None else [])]
        return (top + np.log(total))[..., 0], np.concatenate(parts, -1)

    def descend(self, start: np.ndarray, steps: int = _MOST_STEPS) -> tuple[np.ndarray, float]:
        """Returns the numbers at the end of L-BFGS, and their objective."""
        from scipy import optimize

        bounds = self.bounds()
        low, high = np.array(bounds).T
        found = optimize.minimize(
            self.objective,
            np.clip(start, low, high),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={
                **{"maxiter": steps, "maxfun": 2 * steps, "maxcor": 10},
                **{"ftol": 1e-13, "gtol": 1e-9},
            },
        )
        return found.x, float(found.fun)

    def law(self, found: tuple[np.ndarray, float]) -> PowerLaw:
        """Returns the law of the numbers, with the variables as given."""
        numbers, objective = found
        m = self._m
        exponents = numbers[m : 2 * m]
        with np.errstate(over="ignore"):
            factors = np.exp(numbers[:m] + exponents * self._centre)
        asymptote = math.exp(numbers[2 * m]) if self._asymptote is None else self._asymptote
        low, high = np.array(self.bounds()).T
        inside = (numbers > low + 1e-6) & (numbers < high - 1e-6)
        # No asymptote at all is a law too.
        inside[2 * m :] = True
        return PowerLaw(
            asymptote,
            tuple(map(float, factors)),
            tuple(map(float, exponents)),
            objective,
            bool(inside.all()),
        )


def is_identified(variables: np.ndarray) -> Sequence[str]:
    """Returns why a law of several variables is not identified by runs, [] where it is.

    Args:
        variables: of each run, `[n, m]`, with m of 2: parameters and tokens.
    """
    logs = np.log(np.asarray(variables, float))
    found = []
    for name, column in zip(("sizes", "numbers of tokens"), logs.T):
        count = len(np.unique(column.round(6)))
        if count < 3:
            found.append(f"{count} different {name}, at least 3 are needed")
    if not found:
        centred = logs - logs.mean(0)
        spread = np.linalg.svd(centred, compute_uv=False)
        if spread[-1] < 0.02 * spread[0]:
            found.append(
                "tokens are a power of the size in all runs, so that the two cannot be told apart"
            )
    return found
