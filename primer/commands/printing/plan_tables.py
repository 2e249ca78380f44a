"""The tables of `primer plan`."""

from typing import TYPE_CHECKING

from primer.common.terminal import tables
from primer.common.terminal.tables import flops, seconds, size
from primer.planning.layouts import notation

if TYPE_CHECKING:
    from rich.table import Table

    from primer.planning.plans.plan import Plan
    from primer.planning.plans.report import Report

PLANS_SHOWN = 30  # Of a search.
# Columns of words.
_WORDS = frozenset("layer class memory plan mesh layout over for".split())
_KINDS = {
    "slots": "optimizer slots",
    "gradients": "gradients, all of them",
    "weight_casts": "copies of weights in the type of activations",
    "activations": "activations kept for the backward pass",
}


def table(title: str, *columns: str) -> "Table":
    """Returns a table without rows, as `tables.table`."""
    return tables.table(title, *columns, words=_WORDS)


def memory_table(report: "Report") -> "Table":
    """Returns the memory of a device: as set, with or without recomputation, in evaluation."""
    plans = [report.plan.program]
    columns = ["as set"]
    if report.other:
        plans.append(report.other.program)
        columns.append("recomputation" if report.other.program.recomputes else "no recomputation")
    if report.evaluation:
        plans.append(report.evaluation)
        columns.append("evaluation")
    result = table("Memory of a device", "memory", *columns)
    for name in ("parameters", "slots", "states"):
        numbers = [program.memory.variables[name] for program in plans]
        if any(numbers):
            result.add_row(_KINDS.get(name, name), *map(size, numbers))
    memories = [program.memory for program in plans]
    result.add_row(_KINDS["gradients"], *(size(sum(m.gradients.values())) for m in memories))
    result.add_row(_KINDS["weight_casts"], *(size(sum(m.weight_casts.values())) for m in memories))
    result.add_row(_KINDS["activations"], *(size(m.kept) for m in memories))
    result.add_section()
    result.add_row("peak", *(size(m.peak) for m in memories))
    result.add_row("peak, where", *(f"{m.peak_part}, {m.peak_phase}" for m in memories))
    result.add_row("the device has", *(size(report.plan.capacity) for _ in memories))
    return result


def layers_table(plan: "Plan") -> "Table":
    """Returns what each layer takes, equal layers together."""
    from primer.planning.plans.groups import groups_of

    program = plan.program
    title = "Layers: bytes, FLOPs and time of a device in a step"
    columns = ("layer", "class", "times", "parameters", "activations", "FLOPs per token")
    result = table(title, *columns, "FLOPs per step", "sends", "time", "share")
    for group in groups_of(plan):
        result.add_row(
            group.name,
            group.kind,
            str(group.times),
            size(group.parameters),
            size(group.activations),
            flops(group.useful_flops * program.devices / program.tokens),
            flops(sum(group.flops.values())),
            size(sum(group.sent.values())),
            seconds(group.seconds),
            f"{group.seconds / plan.time.seconds:.1%}" if plan.time.seconds else "",
        )
    result.add_section()
    useful = plan.time.flops * program.devices / program.tokens
    sent = sum(collective.sent_bytes for collective in program.collectives)
    held = program.memory.variables["parameters"]
    totals = (size(held), size(program.memory.kept), flops(useful), flops(program.flops))
    result.add_row("in all", "", "", *totals, size(sent), seconds(plan.time.seconds), "")
    return result


def plans_table(title: str, plans: "list[Plan]", asked: "Plan") -> "Table":
    """Returns several plans in their order; `asked` is the one whose layout is "as set"."""
    columns = ("", "plan", "mesh", "layout", "fits", "peak", "step", "tokens/s", "of peak")
    result = table(title, *columns)
    for number, plan in enumerate(plans[:PLANS_SHOWN], 1):
        result.add_row(
            str(number),
            plan.name,
            notation.mesh_text(plan.mesh),
            "as set" if plan.layout == asked.layout else _layout(plan),
            "yes" if plan.fits else "no",
            size(plan.program.memory.peak),
            seconds(plan.time.seconds),
            f"{plan.time.tokens_per_second:,.0f}",
            f"{plan.time.model_utilization:.1%}",
        )
    return result


def _layout(plan: "Plan") -> str:
    """Returns the rules, those of one axis together, as `batch: rows; d_ff heads: columns`."""
    by_axis: dict[str, list[str]] = {}
    for dimension, axis in plan.layout.items():
        if axis in plan.mesh:
            by_axis.setdefault(axis, []).append(dimension)
    return "; ".join(f"{' '.join(names)}: {axis}" for axis, names in by_axis.items())
