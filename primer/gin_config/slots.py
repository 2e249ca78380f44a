"""The slots of the model that gin describes: which architecture this is, at one glance."""

import re

from primer.gin_config import config_files, gin_state, statements

REQUIRED = "%gin.REQUIRED"
# In gin/defaults.gin: sizes that only some models need, whether gin or a layer makes the call.
UNSET = re.compile(r"@(\w+/)?unset_size(\(\))?")
HEAD = "# The slots of this model, in the order of Primer's defaults.gin"
RULE = "# " + "=" * 78


def declared_names() -> list:
    """The slots that Primer's files declare, in the order of defaults.gin and sizes/tiny.gin."""
    return list(statements.declared_slots(config_files.gin_directory()))


def values_in_force() -> dict:
    """{slot: value as gin has it, as text}, for the slots that are set, in their order."""
    found = {name: _value(name) for name in declared_names()}
    return {name: text for name, text in found.items() if _is_set(text)}


def _is_set(text):
    return text not in (None, REQUIRED) and not UNSET.fullmatch(text)


def unset_macros() -> list:
    """The macros that a binding refers to and that have no value, sorted."""
    return sorted(
        name for name in gin_state.macros_referred_to() if _value(name) in (None, REQUIRED)
    )


def _value(name):
    """What is bound to a macro, as text; None where nothing is."""
    bound = gin_state.bindings_of(name, gin_state.MACRO)
    return repr(bound["value"]) if "value" in bound else None


def resolve_references(found) -> dict:
    """{slot: the value that a slot which names another comes to}: `%num_layers` -> `6`.

    Args:
        found: as `values_in_force` gives them.
    """
    resolved = {}
    for name, text in found.items():
        seen = [name]
        while text.startswith("%") and text[1:] in found and text[1:] not in seen:
            seen.append(text[1:])
            text = found[text[1:]]
        if text != found[name]:
            resolved[name] = text
    return resolved


def as_comments() -> str:
    """The slots as a block of gin comments: a gin file may open with it."""
    found = values_in_force()
    resolved = resolve_references(found)
    lines = [
        f"# {name} = {text}" + (f" = {resolved[name]}" if name in resolved else "")
        for name, text in found.items()
    ]
    return "\n".join([HEAD, RULE, *lines, ""])


def with_slot_header(text: str) -> str:
    """An operative configuration with the slots above it; one that has them already, as it is.

    Args:
        text: what `gin.operative_config_str` gives.
    """
    if text.startswith(HEAD) or not values_in_force():
        return text
    return f"{as_comments()}\n{text}"
