"""What `primer check` prints: tables for the terminal, or the same as plain data."""

import dataclasses

from primer.gin_config import findings
from primer.planning import structure

WIDTH = 140  # Where the output is no terminal.


def as_data(checked, everything=False) -> dict:
    """The result of a check as JSON has it.

    Args:
        checked: what `check.check_gin_files` gives.
        everything: also the findings in installed files.
    """
    parts = structure.parameters_by_part(checked.groups)
    return {
        "files": checked.files,
        "slots": {
            name: {"value": value, "comes_to": end or value, "set_by": where}
            for name, (value, end, where) in checked.slots.items()
        },
        "parameters": {"total": sum(parts.values()), "parts": parts},
        "layers": [
            {"blocks": group.name, "times": group.times, "layers": _layers_data(group)}
            for group in checked.groups
        ],
        "dead": [dataclasses.asdict(finding) for finding in _told(checked, everything)],
        "shared_slots": [dataclasses.asdict(pair) for pair in checked.findings.shared],
    }


def _layers_data(group):
    return [
        {
            "name": layer.name,
            "class": layer.kind,
            "variables": [
                {"name": v.name, "shape": v.shape, "times": v.times, "parameters": v.parameters}
                for v in layer.variables
            ],
        }
        for layer in group.layers
    ]


def _told(checked, everything):
    return [finding for finding in checked.findings.dead if finding.own or everything]


def print_report(checked, everything=False, file=None):
    """Prints slots, parameters, layers and findings.

    Args:
        checked: what `check.check_gin_files` gives.
        everything: also the findings in installed files.
        file: where; standard output unless given.
    """
    from rich.console import Console

    console = Console(file=file, highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(file=file, highlight=False, markup=False, width=WIDTH)
    console.print(_slots(checked.slots))
    console.print(_parameters(structure.parameters_by_part(checked.groups)))
    console.print(_layers(checked.groups))
    _say_findings(console, checked, everything)


def _table(title, *columns):
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        right = column == "parameters"
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    return table


def _slots(slots):
    table = _table("Slots", "slot", "value", "comes to", "set by")
    for name, (value, end, where) in slots.items():
        table.add_row(name, value, end or "", where)
    return table


def _parameters(parts):
    table = _table("Trainable parameters", "part", "parameters")
    for part, number in parts.items():
        table.add_row(part, f"{number:,}")
    table.add_section()
    table.add_row("in all", f"{sum(parts.values()):,}")
    return table


def _layers(groups):
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
        once = "" if variable.times == group.times else f" (in {variable.times} of {group.times})"
        row = (variable.name + once, variable.shape_text(), f"{variable.parameters:,}")
        table.add_row(name, kind, *row)
        name = kind = ""
    if not layer.variables:
        table.add_row(name, kind, "none")


def _say_findings(console, checked, everything):
    told = _told(checked, everything)
    for kind, title in findings.KINDS.items():
        of_kind = [finding for finding in told if finding.kind == kind]
        if of_kind:
            console.print(f"{title.capitalize()}:")
        for finding in of_kind:
            installed = "" if finding.own else " (installed)"
            console.print(f"  {finding}{installed}", soft_wrap=True)
    for pair in checked.findings.shared:
        console.print(f"Warning: {pair}", soft_wrap=True)
    if not checked.findings.own:
        console.print("Every setting of your own takes effect.")
