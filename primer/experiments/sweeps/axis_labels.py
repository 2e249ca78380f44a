"""The labels that names of runs, and so their directories, have of the values of an axis."""

import re
from collections.abc import Mapping
from typing import Any

from primer.errors import UsageError

UNSAFE = re.compile(r"[^\w.+-]+")


def check(where: str, label: Any) -> None:
    """Raises UsageError, which begins with the place in the file, for a label with other signs."""
    if UNSAFE.search(str(label)) or not str(label):
        raise UsageError(f"{where}: label {label!r}: expected letters, digits and . _ + -")


def of_positions(where: str, content: Any, count: int) -> tuple[Mapping[str, str], ...]:
    """Returns the labels of an axis that has its own, in place of one for each setting.

    Args:
        where: the place in the file, for messages.
        content: {name: [a label of each position]}, as the file has it.
        count: the number of positions.

    Returns:
        {name: label} of each position.

    Raises:
        UsageError: `content` is something else, or two positions are called alike.
    """
    if not isinstance(content, dict) or not content:
        raise UsageError(f"{where} = {content!r}: expected {{NAME: [a label for each value]}}")
    for name, labels in content.items():
        check(where, name)
        if not isinstance(labels, list) or len(labels) != count:
            raise UsageError(f"{where}.{name} = {labels!r}: expected a list of {count} labels")
        for label in labels:
            check(f"{where}.{name}", label)
    names = [str(name) for name in content]
    found = tuple(dict(zip(names, map(str, place))) for place in zip(*content.values()))
    twice = next((labels for labels in found if found.count(labels) > 1), None)
    if twice is not None:
        words = ",".join(f"{name}={label}" for name, label in twice.items())
        raise UsageError(f"{where}: two values are called {words}: expected different ones")
    return found
