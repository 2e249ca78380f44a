"""A plan as plain data, for JSON; docs/planning.md documents it."""

import dataclasses
from typing import Any

from primer.planning.device_program.program import DeviceProgram
from primer.planning.plans import assumptions
from primer.planning.plans.groups import groups_of
from primer.planning.plans.plan import Budget, Plan
from primer.planning.plans.report import Report
from primer.planning.plans.sweep import Sweep


def of_report(report: Report) -> dict[str, Any]:
    """Returns the whole report."""
    data = of_plan(report.plan)
    prefix = "without" if report.plan.program.recomputes else "with"
    data[f"{prefix}_recomputation"] = report.other and _memory(report.other.program)
    data["evaluation"] = report.evaluation and _memory(report.evaluation)
    data["budget"] = report.budget and _budget(report.budget)
    data["suggestions"] = [summary(plan) for plan in report.suggestions]
    data["assumptions"] = assumptions.sentences(report.plan)
    if report.sweep:
        data["sweep"] = of_sweep(report.sweep)
    if report.automatic:
        data["auto_layout"] = of_automatic(report.automatic, report.sweep)
    return data


def of_plan(plan: Plan) -> dict[str, Any]:
    """Returns one plan, with its parts and its collectives."""
    program = plan.program
    data = summary(plan)
    data |= {
        "parameters": program.parameters,
        "parameters_per_device": program.device_parameters,
        "vocabulary_size": plan.vocabulary_size,
        "batch": program.batch,
        "microbatches": program.microbatches,
        "recomputes": program.recomputes,
        "activation_dtype": program.activation_dtype,
        "chip": chip_data(plan),
        "memory": _memory(program),
        "parts": [dataclasses.asdict(group) for group in groups_of(plan)],
        "collectives": _collectives(program),
        "time": _time(plan),
        "notes": program.notes,
    }
    return data


def summary(plan: Plan) -> dict[str, Any]:
    """Returns the numbers by which plans are compared."""
    return {
        "name": plan.name,
        "mesh": dict(plan.mesh),
        "layout": dict(plan.layout),
        "changes": dict(plan.changes),
        "devices": plan.program.devices,
        "fits": plan.fits,
        "peak_bytes": plan.program.memory.peak,
        "capacity_bytes": plan.capacity,
        "step_seconds": plan.time.seconds,
        "tokens_per_step": plan.time.tokens,
        "tokens_per_second": plan.time.tokens_per_second,
        "model_flops_utilization": plan.time.model_utilization,
    }


def of_sweep(sweep: Sweep) -> dict[str, Any]:
    """Returns a search, the best plan first."""
    return {
        "devices": sweep.devices,
        "plans": [summary(plan) for plan in sweep.plans],
        "impossible": [{"plan": plan, "reason": reason} for plan, reason in sweep.impossible],
    }


def of_automatic(automatic: Plan, sweep: Sweep | None) -> dict[str, Any]:
    """Returns auto_mtf's plan, with its place in a search."""
    data = summary(automatic)
    if sweep and sweep.plans:
        data |= {"rank": sweep.rank_of(automatic), "time_ratio": sweep.ratio_of(automatic)}
        data["of"] = len(sweep.plans)
    return data


def chip_data(plan: Plan) -> dict[str, Any]:
    """Returns the numbers of the chip that the estimate uses, of one device."""
    chip = plan.chip
    names = ("name", "unit", "devices_per_chip", "memory_bandwidth", "link_bandwidth")
    data = {name: getattr(chip, name) for name in names}
    return {**data, "peak_flops": plan.time.peak, "memory": plan.capacity}


def _memory(program: DeviceProgram) -> dict[str, Any]:
    memory = program.memory
    return {
        **memory.variables,
        "gradients": sum(memory.gradients.values()),
        "weight_casts": sum(memory.weight_casts.values()),
        "activations_kept": memory.kept,
        "peak": memory.peak,
        "peak_part": memory.peak_part,
        "peak_phase": memory.peak_phase,
        "at_peak": memory.at_peak,
    }


def _collectives(program: DeviceProgram) -> list[dict[str, Any]]:
    return [
        {**dataclasses.asdict(collective), "sent_bytes": collective.sent_bytes}
        for collective in program.collectives
    ]


def _time(plan: Plan) -> dict[str, Any]:
    time = plan.time
    return {
        "utilization": time.utilization,
        "seconds": time.seconds,
        "seconds_overlapped": time.overlapped,
        "operations": time.operations,
        "collectives": time.by_axes(),
        "flops_per_device": time.flops,
        "parts": [dataclasses.asdict(part) for part in time.parts],
    }


def _budget(budget: Budget) -> dict[str, Any]:
    return {**dataclasses.asdict(budget), "days": budget.days}
