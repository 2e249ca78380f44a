"""Losses and graphs of every composition at the tiny size equal the recorded ones.

After an intended change of the computation, run `make golden` and commit the changes of
tests/golden/runs/ with it.
"""

import json
import os

import pytest

from tests import gin_models, recorded_runs
from tests.paths import GOLDEN

RUNS = GOLDEN / "runs"
COMPOSITIONS = gin_models.run_compositions()
# Relative tolerance on other machines, which sum in another order.
ELSEWHERE = 1e-6


def path_of(composition):
    return RUNS / f"{gin_models.name_of(composition)}.json"


def quick(composition):
    """Returns true for each architecture without experts, and for two with experts."""
    overlay = composition[1]
    return overlay is None or composition in [("primer_ez", "switch"), ("primer", "fastmoe")]


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "composition", filter(quick, COMPOSITIONS), ids=lambda value: gin_models.name_of(value)
)
def test_recomputed_blocks_give_the_recorded_losses(composition, tmp_path):
    architecture, overlay = composition
    files = gin_models.files(architecture, overlay=overlay)
    bindings = [recorded_runs.SETTINGS, 'recompute = "blocks"']
    made = recorded_runs.estimator_of(files, bindings, tmp_path)
    _, losses = recorded_runs.train(made)
    expected = json.loads(path_of(composition).read_text(encoding="utf-8"))["losses"]
    assert losses == pytest.approx(expected, rel=ELSEWHERE)


def test_every_recorded_run_has_its_composition():
    assert {path.stem for path in RUNS.glob("*.json")} == set(map(gin_models.name_of, COMPOSITIONS))
