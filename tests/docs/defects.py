"""Reads the tables of docs/defects.md."""

import ast
import dataclasses
import importlib
import re

from tests.paths import ROOT

_TEST = re.compile(r"`(tests/\S+\.py)::(\w+)`")


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the page.

    Attributes:
        original: the first cell, what the original system does, without backticks.
        changes_results: whether the defect changes numbers, losses or text without an error.
        path: the file of the row's test, relative to the root of the repository.
        function: the name of the test.
    """

    original: str
    changes_results: bool
    path: str
    function: str

    def test_exists(self) -> bool:
        """Returns whether the file has a function of this name."""
        tree = ast.parse((ROOT / self.path).read_text())
        return self.function in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}

    def module(self):
        """Imports the module of the test."""
        return importlib.import_module(self.path.removesuffix(".py").replace("/", "."))


def rows() -> list[Row]:
    """Returns all rows, in the order of the page."""
    lines = (ROOT / "docs" / "defects.md").read_text().splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [_row(*row) for row in cells if row[0] != "The original"]


def _row(original: str, here: str, results: str, test: str) -> Row:
    del here
    path, function = _TEST.fullmatch(test).groups()
    return Row(original.replace("`", ""), {"yes": True, "no": False}[results], path, function)
