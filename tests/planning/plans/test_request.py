"""From gin files to a report: GShard's numbers, plans that do not fit, searches."""

import json
import re
import shlex

import pytest

import t5_imports  # noqa: F401  Registers what gin files name.
from primer.commands.printing import plan_report
from primer.errors import UsageError
from primer.gin_config import config_files
from primer.planning.plans import data, planner, request
from tests.planning.plans import make

PARAMS = ["utils.run.batch_size = 8", "utils.run.sequence_length = {'targets': 128}"]


def report(*params, **settings):
    asked = {"files": make.TINY, "vocabulary_size": 128, **settings}
    return request.report(request.Request(params=[*PARAMS, *params], **asked))


def test_a_tiny_model():
    found = report(mesh=[2, 2], tokens=1e6)
    assert found.plan.mesh == {"batch": 2, "model": 2}
    assert found.plan.fits and not found.suggestions
    assert found.plan.rank() == (False, found.plan.time.seconds / (8 * 128))
    assert found.other.program.recomputes
    assert found.other.program.memory.kept < found.plan.program.memory.kept
    assert found.evaluation.memory.variables["slots"] == 0
    assert found.budget.steps == pytest.approx(1e6 / (8 * 128))
    assert found.budget.chip_hours == found.budget.device_hours / 2
    numbers = json.loads(json.dumps(data.of_report(found)))
    assert numbers["peak_bytes"] == numbers["memory"]["peak"] == found.plan.program.memory.peak
    assert sum(numbers["memory"]["at_peak"].values()) == numbers["memory"]["peak"]
    assert sum(part["seconds"] for part in numbers["parts"]) == pytest.approx(
        numbers["step_seconds"], rel=5e-3
    )


def test_lingvos_parameters_of_a_core(capsys):
    """As the issue of every digit: --model dense_lm_128b_8x8 --mesh 8x16 --chip v3."""
    files = config_files.published_model_files("dense_lm_128b_8x8")
    with planner.settings_of(files, []):
        asked = request.Request(files, mesh=[8, 16])
        mesh, layout = request.mesh_and_layout(asked)
        machine = planner.Machine("v3", 0.7, request.vocabulary.planned_vocabulary())
        plan = planner.Planner(machine).plan("as set", mesh, layout)
    plan_report.print_report(request.Report(plan))
    out = capsys.readouterr().out
    assert out.startswith("137,702,416,384 parameters, 1,091,444,736 on a device\n")
    assert "Mesh rows:8,columns:16: 128 devices, each a TPU v3 core, half a chip = 64 chips" in out


@pytest.mark.slow
def test_a_plan_that_does_not_fit_has_changes_that_are_planned():
    params = ["num_layers = 4", "d_ff = 16384", "utils.run.batch_size = 2048"]
    params.append("utils.serialize_num_microbatches.tokens_per_microbatch_per_replica = None")
    found = report(*params, mesh={"batch": 1, "model": 2})
    assert not found.plan.fits
    assert re.search("does not fit: .* too much", plan_report.verdict(found.plan))
    ranks = [plan.rank() for plan in found.suggestions]
    assert ranks == sorted(ranks) and found.suggestions[0].fits
    by_name = {plan.name: plan for plan in found.suggestions}
    assert "recomputation and microbatches of one row" in by_name
    assert by_name["recomputation"].changes == {"recompute": "layers"}
    assert by_name["recomputation"].program.recomputes
    assert {plan.rows for plan in found.suggestions} == {2048}
    # What is printed for a change makes its plan: the mesh, the layout and the batch.
    (larger,) = [plan for plan in found.suggestions if plan.name == "4 devices along model"]
    words = shlex.split(plan_report._options(larger, found.plan))
    assert words[:2] == ["--mesh", "batch:1,model:4"]
    assert words[-2:] == ["--gin_param", "utils.run.batch_size = 2048"]


@pytest.mark.slow
def test_a_search_ranks_what_fits_first_and_then_by_time():
    found = report("num_layers = 4", mesh=[2, 2], sweep=True, automatic=True)
    plans = found.sweep.plans
    assert [plan.rank() for plan in plans] == sorted(plan.rank() for plan in plans)
    meshes = {tuple(plan.mesh.items()) for plan in plans}
    assert meshes == {(("rows", 4),), (("rows", 2), ("columns", 2))}
    assert {plan.rows for plan in plans} == {8}
    assert found.sweep.rank_of(plans[2]) == 3 and found.sweep.ratio_of(plans[0]) == 1
    program = found.automatic.program
    assert tuple(found.automatic.mesh.items()) in meshes
    assert program.device_parameters < program.parameters
    assert found.automatic.rows == 8


def test_layouts_that_do_not_fit_are_errors_before_anything_is_lowered(monkeypatch):
    monkeypatch.setattr(planner.Planner, "plan", None)
    with pytest.raises(UsageError, match="^--layout: the rule d_fff:b matches no dimension"):
        report(mesh={"a": 2, "b": 2}, layout={"batch": "a", "d_fff": "b"})
    with pytest.raises(UsageError, match="the dimension d_ff has 66 entries in .* 4 devices"):
        report("d_ff = 66", mesh=[2, 4])
    with pytest.raises(UsageError, match="has the axis columns of 2 devices, .* names a: all 2"):
        report(mesh={"a": 2, "columns": 2}, layout={"batch": "a"})


def test_one_device_has_no_layouts_to_search(monkeypatch):
    monkeypatch.setattr(planner.Planner, "plan", None)
    with pytest.raises(UsageError, match="^--sweep_mesh: the mesh has one device; name a larger"):
        report(mesh=[1], sweep=True)
