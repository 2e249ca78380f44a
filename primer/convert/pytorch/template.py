"""Fills in the fragments of PyTorch code in `fragments/`.

A line `#if name`, `#else` or `#end` chooses lines by a value's truth, `#for name in names` repeats
them; `$name` and `${name}` are replaced by a value. So the written file has what its model needs,
and nothing else.
"""

import functools
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

_FOLDER = os.path.join(os.path.dirname(__file__), "fragments")
_NAME = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def render(fragment: str, values: Mapping[str, Any]) -> str:
    """Returns the text of a fragment with the values filled in.

    Args:
        fragment: its name, without the ending.
        values: {name: value}; a name that is missing counts as False in `#if`.

    Raises:
        KeyError: a value to fill in is missing.
    """
    return "\n".join(_lines(iter(_text(fragment).splitlines()), values)).strip("\n")


@functools.cache
def _text(fragment: str) -> str:
    with open(os.path.join(_FOLDER, f"{fragment}.txt"), encoding="utf-8") as file:
        return file.read()


def _lines(lines: Iterator[str], values: Mapping[str, Any]) -> Iterator[str]:
    for line in lines:
        if line.startswith("#if "):
            chosen = bool(values.get(line[4:].strip()))
            first, second = _branches(lines)
            yield from _lines(iter(first if chosen else second), values)
        elif line.startswith("#for "):
            name, _, items = line[5:].partition(" in ")
            body, _ = _branches(lines)
            for item in values.get(items.strip(), ()):
                yield from _lines(iter(body), {**values, name: item})
        else:
            yield _filled(line, values)


def _branches(lines: Iterator[str]) -> tuple[list[str], list[str]]:
    """Returns the lines up to `#else`, and those up to the `#end` that belongs here."""
    branches: tuple[list[str], list[str]] = ([], [])
    depth, branch = 0, 0
    for line in lines:
        if line.startswith(("#if ", "#for ")):
            depth += 1
        elif line == "#else" and not depth:
            branch = 1
            continue
        elif line == "#end":
            if not depth:
                break
            depth -= 1
        branches[branch].append(line)
    return branches


def _filled(line: str, values: Mapping[str, Any]) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    text = _NAME.sub(lambda found: str(values[found[1] or found[2]]), line)
    return text.replace("\n", f"\n{indent}")
