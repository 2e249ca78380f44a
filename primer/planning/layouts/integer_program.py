"""The part of ortools' `cp_model` that auto_mtf uses, written down and solved in another process.

ortools and TensorFlow in one process end it with a segmentation fault (ortools 9.15, TensorFlow
2.21): their copies of Abseil and protobuf meet. `CpModel` therefore only records the program, and
`CpSolver` gives it to a Python of its own, which imports ortools and no TensorFlow.
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Union

from primer.errors import RunError, UsageError

OPTIMAL, FEASIBLE = 4, 2  # ortools' numbers.

_SOLVE = """
import json, sys
from ortools.sat.python import cp_model
program = json.load(sys.stdin)
model = cp_model.CpModel()
variables = [model.NewIntVar(low, high, f"x{n}") for n, (low, high) in enumerate(program["bounds"])]
def total(terms, constant):
    return sum(factor * variables[n] for n, factor in terms) + constant
for terms, constant, low, high in program["constraints"]:
    model.AddLinearConstraint(total(terms, constant), low, high)
model.Minimize(total(*program["objective"]))
solver = cp_model.CpSolver()
solver.parameters.num_workers = 1  # Of equal layouts the same one is found each time.
status = int(solver.Solve(model))
values = [int(solver.Value(v)) for v in variables] if status in (2, 4) else []
print(json.dumps([status, values]))
"""
_FAR = 2**62

Term = Union["Linear", int]


def require_ortools() -> None:
    """Raises UsageError if ortools is not installed; imports nothing of it."""
    if importlib.util.find_spec("ortools") is None:
        raise UsageError(
            "--auto_layout needs the package ortools: install Primer with the extra auto-layout, "
            "pip install 'primer[auto-layout]'"
        )


class Linear:
    """A sum of variables with factors, and a constant.

    Args:
        terms: {number of a variable: factor}.
        constant: the constant.
    """

    def __init__(self, terms: Mapping[int, int], constant: int = 0) -> None:
        self.terms, self.constant = dict(terms), constant

    def __add__(self, other: Term) -> "Linear":
        if isinstance(other, int):
            return Linear(self.terms, self.constant + other)
        terms = dict(self.terms)
        for number, factor in other.terms.items():
            terms[number] = terms.get(number, 0) + factor
        return Linear(terms, self.constant + other.constant)

    __radd__ = __add__

    def __mul__(self, factor: int) -> "Linear":
        terms = {number: own * factor for number, own in self.terms.items()}
        return Linear(terms, self.constant * factor)

    __rmul__ = __mul__

    def __sub__(self, other: Term) -> "Linear":
        return self + -1 * other

    def __le__(self, other: Term) -> tuple["Linear", int, int]:
        return self - other, -_FAR, 0

    def __eq__(self, other: object) -> Any:
        assert isinstance(other, (int, Linear))
        return self - other, 0, 0

    __hash__ = None  # type: ignore[assignment]

    def Not(self) -> "Linear":
        """Returns the opposite of a variable that is 0 or 1."""
        return Linear({}, 1) - self

    def as_data(self) -> tuple[list[tuple[int, int]], int]:
        """Returns the terms and the constant for JSON."""
        return list(self.terms.items()), self.constant


class CpModel:
    """An integer program: variables, linear constraints, and what is to be least."""

    def __init__(self) -> None:
        self.bounds: list[tuple[int, int]] = []
        self.constraints: list[tuple] = []
        self.objective = Linear({})

    def NewIntVar(self, low: int, high: int, name: str) -> Linear:
        """Adds a variable that is a whole number."""
        del name
        self.bounds.append((low, high))
        return Linear({len(self.bounds) - 1: 1})

    def NewBoolVar(self, name: str) -> Linear:
        """Adds a variable that is 0 or 1."""
        return self.NewIntVar(0, 1, name)

    def Add(self, constraint: tuple[Linear, int, int] | bool) -> None:
        """Adds a comparison of sums; one of constants is True and says nothing."""
        if not isinstance(constraint, bool):
            expression, low, high = constraint
            self.constraints.append((*expression.as_data(), low, high))

    def AddImplication(self, condition: Linear, consequence: Linear) -> None:
        """Adds that a variable is 1 where another one is."""
        self.Add(condition <= consequence)

    def Minimize(self, expression: Linear) -> None:
        """Sets the sum that is to be least."""
        self.objective = expression


class CpSolver:
    """Solves a program in another process."""

    def __init__(self) -> None:
        self._values: list[int] = []

    def Solve(self, model: CpModel) -> int:
        """Returns the status of the solution, OPTIMAL, FEASIBLE or another number.

        Raises:
            RunError: the other process failed.
        """
        program = {
            "bounds": model.bounds,
            "constraints": model.constraints,
            "objective": model.objective.as_data(),
        }
        command = [sys.executable, "-c", _SOLVE]
        result = subprocess.run(
            command, input=json.dumps(program), capture_output=True, text=True, check=False
        )
        if result.returncode:
            last = (result.stderr.strip().splitlines() or ["no message"])[-1]
            raise RunError(f"--auto_layout: ortools could not solve the program: {last}")
        status, self._values = json.loads(result.stdout)
        return status

    def Value(self, variable: Linear) -> int:
        """Returns the value of a variable."""
        (number,) = variable.terms
        return self._values[number]
