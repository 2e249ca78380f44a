"""docs/defects.md names tests that are there."""

import ast
import re

import pytest

from tests.paths import ROOT

ROWS = [
    line
    for line in (ROOT / "docs" / "defects.md").read_text().splitlines()
    if line.startswith("|") and not re.match(r"\|(---| The original \|)", line)
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:60])
def test_every_defect_has_its_test(row):
    path, name = re.search(r"`(tests/\S+\.py)::(\w+)`", row).groups()
    tree = ast.parse((ROOT / path).read_text())
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert name in functions
