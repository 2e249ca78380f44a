"""The changes of a ladder: gin bindings, each compared with the model without it."""

import dataclasses
import tokenize
from collections.abc import Sequence

from primer.errors import UsageError
from primer.experiments.sweeps import axis_labels, run_settings
from primer.gin_config import gin_errors, statements

BASE = "base"
_LONGEST = 60  # Characters of a label, which is a part of directories' names.


@dataclasses.dataclass(frozen=True)
class Change:
    """A change of the model.

    Attributes:
        label: its name in names of runs: "attention-MDHA"; BASE for none.
        lines: its gin bindings.
    """

    label: str
    lines: Sequence[str]


def parse(texts: Sequence[str]) -> list[Change]:
    """Returns the changes, the model without any first.

    Args:
        texts: the values of --change: a gin binding, or several, a line each.

    Raises:
        UsageError: a text is no binding, or two have one label.
    """
    found = [Change(BASE, ())]
    for text in texts:
        change = _change(text)
        if any(other.label == change.label for other in found):
            raise UsageError(f"--change {text!r}: another change is called {change.label}, too")
        found.append(change)
    return found


def _change(text: str) -> Change:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    label = "+".join(map(_label, lines))[:_LONGEST]
    if not label:
        raise UsageError(f"--change {text!r}: expected a gin binding, as attention = @MDHA")
    return Change(label, lines)


def _label(line: str) -> str:
    statement = _binding(line)
    name = statement.arg_name or statement.selector
    value = line.partition("=")[2]
    return f"{name}-{axis_labels.UNSAFE.sub('_', value).strip('_') or '_'}"


def _binding(line: str) -> statements.Statement:
    try:
        found = statements.parse_text(line)
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        reason = str(gin_errors.as_usage_error(error)).splitlines()[0]
        raise UsageError(f"--change {line!r} is no gin binding: {reason}") from error
    if len(found) != 1 or not statements.is_binding(found[0]):
        raise UsageError(f"--change {line!r}: expected a gin binding, as attention = @MDHA")
    return found[0]


def require_slots(change: Change, arguments: Sequence[str]) -> None:
    """Refuses a change of a slot that no gin file has; names with a dot are checked by gin.

    Args:
        change: the change.
        arguments: the arguments of `t5_mesh_transformer` of a run with it.

    Raises:
        UsageError: there is no such slot.
    """
    for line in change.lines:
        statement = _binding(line)
        if not statements.is_macro(statement):
            continue
        try:
            run_settings.require_slots([statements.macro_name(statement)], arguments)
        except UsageError as error:
            raise UsageError(f"--change {line!r}: {error}") from error
