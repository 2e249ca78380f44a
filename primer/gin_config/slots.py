"""The slots of the model that gin describes, in the order in which Primer's files declare them.

A slot is a macro that the files of a model may set: `attention`, `num_layers`, ...
"""

import re
from collections.abc import Mapping

from primer.gin_config import config_files, gin_state, lint, statements

REQUIRED = "%gin.REQUIRED"
# The value in gin/defaults.gin of sizes that only some models need, called by gin or by a layer.
UNSET = re.compile(r"@(\w+/)?unset_size(\(\))?")
# The value of sizes that sizes/ladder.gin computes from the depth.
COMPUTED = re.compile(rf"@(\w+)/{lint.LADDER}\(\)")
HEAD = "# The slots of this model, in the order of Primer's defaults.gin"
RULE = "# " + "=" * 78


def declared_names() -> list[str]:
    """Returns the slots that Primer's files declare, in the order of their declaration."""
    return list(statements.declared_slots(config_files.gin_directory()))


def values_in_force() -> dict[str, str]:
    """Returns {slot: gin's value as text} of the slots that are set, in their order."""
    values = {name: _value(name) for name in declared_names()}
    return {
        name: text
        for name, text in values.items()
        if text is not None and text != REQUIRED and not UNSET.fullmatch(text)
    }


def unset_macros() -> list[str]:
    """Returns the macros that a binding refers to and that have no value, sorted."""
    names = gin_state.macros_referred_to()
    return sorted(name for name in names if _value(name) in (None, REQUIRED))


def _value(name: str) -> str | None:
    """Returns the value of a macro as text; None without a binding."""
    bound = gin_state.bindings_of(name, gin_state.MACRO)
    return repr(bound["value"]) if "value" in bound else None


def resolve_references(values: Mapping[str, str]) -> dict[str, str]:
    """Returns {slot: value} of the slots that refer to another or to the depth of a ladder.

    Args:
        values: {slot: value as text}, from `values_in_force`.

    Returns:
        `%num_layers` -> `6`, `@d_model/ladder_size()` -> `768`.
    """
    resolved = {}
    for name, text in values.items():
        seen = [name]
        while text.startswith("%") and text[1:] in values and text[1:] not in seen:
            seen.append(text[1:])
            text = values[text[1:]]
        text = _computed(text)
        if text != values[name]:
            resolved[name] = text
    return resolved


def _computed(text: str) -> str:
    """Returns the number that a ladder computes; another text, or one for no number, unchanged."""
    size = COMPUTED.fullmatch(text)
    if not size or _value(size[1]) != text:
        return text
    try:
        return repr(gin_state.value_of_macro(size[1]))
    except ValueError:  # The depth is none; building the model raises the same error.
        return text


def as_comments() -> str:
    """Returns the slots as a block of gin comments."""
    values = values_in_force()
    resolved = resolve_references(values)
    lines = [
        f"# {name} = {text}" + (f" = {resolved[name]}" if name in resolved else "")
        for name, text in values.items()
    ]
    return "\n".join([HEAD, RULE, *lines, ""])


def with_slot_header(text: str) -> str:
    """Returns an operative configuration with the slots above it; unchanged if it has them.

    Args:
        text: the value of `gin.operative_config_str`.
    """
    if text.startswith(HEAD) or not values_in_force():
        return text
    return f"{as_comments()}\n{text}"
