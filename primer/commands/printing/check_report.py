"""The output of `primer check`: tables for the terminal, or the same as plain data."""

import dataclasses
import itertools
from collections import Counter
from typing import IO, TYPE_CHECKING, Any

from primer.cost import conventions, model_cost
from primer.gin_config import findings
from primer.planning import structure

if TYPE_CHECKING:
    from primer.planning.check import CheckResult

NUMBERS = ("parameters", "forward", "training", "share")  # Columns of numbers.
WIDTH = 140  # Of tables where the output is not a terminal.


def as_data(result: "CheckResult", with_installed: bool = False) -> dict[str, Any]:
    """Returns the result of a check as data for JSON; costs are named as in results of `eval`.

    Args:
        result: the value of `check.check_gin_files`.
        with_installed: whether to include the findings in installed files.
    """
    cost = result.cost
    return {
        "files": result.files,
        "slots": {
            name: {"value": value, "comes_to": resolved or value, "set_by": where}
            for name, (value, resolved, where) in result.slots.items()
        },
        **cost.as_result(),
        "parameters_of_vocabulary_padding": cost.parameters.padding,
        "parameters_by_part": structure.parameters_by_part(result.groups),
        "length": cost.length,
        "flops_by_convention": {
            "exact": {"forward": cost.forward, "training": cost.training},
            "six_n": {"training": cost.six_n},
        },
        "layers": [
            {"blocks": group.name, "times": group.times, "layers": _layers_data(group)}
            for group in result.groups
        ],
        "dead": [dataclasses.asdict(finding) for finding in _reported(result, with_installed)],
        "shared_slots": [dataclasses.asdict(pair) for pair in result.findings.shared],
    }


def _layers_data(group):
    return [
        {
            "name": layer.name,
            "class": layer.kind,
            "forward_flops_per_token": layer.flops,
            "variables": [
                {"name": v.name, "shape": v.shape, "times": v.times, "parameters": v.parameters}
                for v in layer.variables
            ],
        }
        for layer in group.layers
    ]


def _reported(result, with_installed):
    return [finding for finding in result.findings.dead if finding.own or with_installed]


def print_report(
    result: "CheckResult", with_installed: bool = False, file: IO[str] | None = None
) -> None:
    """Prints slots, parameters, layers and findings.

    Args:
        result: the value of `check.check_gin_files`.
        with_installed: whether to print the findings in installed files.
        file: the output; None: standard output.
    """
    from rich.console import Console

    console = Console(file=file, highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(file=file, highlight=False, markup=False, width=WIDTH)
    console.print(_slots_table(result.slots))
    console.print(_parameters_table(result))
    console.print(_layers_table(result.groups))
    console.print(_flops_table(result))
    console.print(_conventions(result.cost), soft_wrap=True)
    _print_findings(console, result, with_installed)


def _table(title, *columns):
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        right = column in NUMBERS
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    return table


def _slots_table(slots):
    table = _table("Slots", "slot", "value", "comes to", "set by")
    for name, (value, resolved, where) in slots.items():
        table.add_row(name, value, resolved or "", where)
    return table


def _parameters_table(result):
    parts, cost = structure.parameters_by_part(result.groups), result.cost.parameters
    title = f"Parameters with {result.vocabulary_size:,} token ids (--vocabulary_size)"
    table = _table(title, "part", "parameters")
    for part, number in parts.items():
        table.add_row(part, f"{number:,}")
    table.add_section()
    table.add_row("in all", f"{sum(parts.values()):,}")
    if cost.frozen:
        table.add_row("of these, trained; the others are frozen", f"{cost.trained:,}")
    if cost.padding:
        table.add_row("of these, pad the vocabulary", f"{cost.padding:,}")
    table.add_row("without tables of tokens, positions and output", f"{cost.without_embedding:,}")
    if cost.active != cost.without_embedding:
        table.add_row("of these, active for a token", f"{cost.active:,}")
    return table


def _layers_table(groups):
    table = _table("Layers", "layer", "class", "variable", "shape", "parameters")
    for group in groups:
        if group.first:
            table.add_section()
            table.add_row(f"{group.name} x {group.times}" if group.times > 1 else group.name)
        for layer in group.layers:
            _add_layer(table, group, layer)
        if group.first:
            table.add_section()
    return table


def _add_layer(table, group, layer):
    indent = "  " if group.first else ""
    name, kind = indent + layer.name, layer.kind
    for variable in layer.variables:
        some = "" if variable.times == group.times else f" (in {variable.times} of {group.times})"
        row = (variable.name + some, variable.shape_text(), f"{variable.parameters:,}")
        table.add_row(name, kind, *row)
        name = kind = ""
    if layer.kind and not layer.variables:
        table.add_row(name, kind, "none")


def _flops_table(result):
    """FLOPs by layer; a row has those of all equal blocks in which they are equal."""
    title = f"FLOPs per token, {conventions.EXACT}, length {result.cost.length:,}"
    table = _table(title, "layer", "class", "forward", "training", "share")
    for group in result.groups:
        for layer in group.layers:
            name = f"{group.name}/{layer.name}" if group.first else layer.name
            pairs = itertools.zip_longest(layer.flops, layer.frozen_flops, fillvalue=0.0)
            for (flops, frozen), times in Counter(pairs).items():
                if flops:
                    some = f", {times} of {group.times}" if times < group.times else ""
                    some = some or (f" x {times}" if times > 1 else "")
                    training = model_cost.TRAINING * flops - frozen
                    numbers = (times * flops, times * training)
                    _add_flops(table, name + some, layer.kind, *numbers, result.cost)
    table.add_section()
    _add_flops(table, "in all", "", result.cost.forward, result.cost.training, result.cost)
    table.add_row(f"by {conventions.SIX_N}", "", "", f"{result.cost.six_n:,}")
    return table


def _add_flops(table, name, kind, forward, training, cost):
    numbers = (f"{forward:,.0f}", f"{training:,.0f}")
    share = f"{forward / cost.forward:.1%}" if cost.forward else ""
    table.add_row(name, kind, *numbers, share)


def _conventions(cost):
    """Says what was counted; experts make the active parameters fewer."""
    numbers = cost.parameters
    active = "active " if numbers.active != numbers.without_embedding else ""
    frozen = ", 2 x where the weight is frozen" if numbers.frozen else ""
    return (
        f"{conventions.EXACT}: 2 x the multiply-adds of the forward pass's matrix products, "
        "attention over all keys and the output over the vocabulary without padding; training "
        f"3 x forward{frozen}. {conventions.SIX_N}: N = {numbers.active:,}, the {active}parameters "
        "without tables of tokens, positions and output."
    )


def _print_findings(console, result, with_installed):
    reported = _reported(result, with_installed)
    for kind, title in findings.KINDS.items():
        of_kind = [finding for finding in reported if finding.kind == kind]
        if of_kind:
            console.print(f"{title.capitalize()}:")
        for finding in of_kind:
            installed = "" if finding.own else " (installed)"
            console.print(f"  {finding}{installed}", soft_wrap=True)
    for pair in result.findings.shared:
        console.print(f"Warning: {pair}", soft_wrap=True)
    if not result.findings.own:
        console.print("Every setting of your own takes effect.")
