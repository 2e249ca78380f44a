"""Losses and graphs of every composition at the tiny size, against what was recorded of them.

A change that is meant to alter a computation says so by recording it anew: `make golden`, and a
commit that has the difference of tests/golden/runs/ in it.
"""

import json
import os

import pytest

from tests import gin_models, recorded_runs
from tests.paths import GOLDEN

RUNS = GOLDEN / "runs"
COMPOSITIONS = gin_models.compositions()
# Another machine adds the same numbers in another order.
ELSEWHERE = 1e-6


def path_of(composition):
    return RUNS / f"{gin_models.name_of(composition)}.json"


def quick(composition):
    """Each architecture alone, and one with experts."""
    architecture, overlay = composition
    return overlay is None or architecture == "primer_ez"


@pytest.mark.parametrize("composition", gin_models.as_params(COMPOSITIONS, quick))
def test_losses_and_graphs_are_as_recorded(composition, tmp_path):
    found = recorded_runs.record(composition, tmp_path)
    path = path_of(composition)
    if os.environ.get("PRIMER_WRITE_GOLDEN"):
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    expected = json.loads(path.read_text(encoding="utf-8"))
    for use, graph in expected["graphs"].items():
        assert found["graphs"][use]["operations"] == graph["operations"], use
        assert found["graphs"][use]["digest"] == graph["digest"], use
    if found["machine"] == expected["machine"]:
        assert found["losses"] == expected["losses"]
    assert found["losses"] == pytest.approx(expected["losses"], rel=ELSEWHERE)


def test_every_recorded_run_has_its_composition():
    assert {path.stem for path in RUNS.glob("*.json")} == set(map(gin_models.name_of, COMPOSITIONS))
