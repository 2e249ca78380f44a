"""Mistakes in gin files and bindings, reported in one line each.

gin accepts a misspelled slot: `dropout_rat = 0.1` is a macro that nothing refers to.
"""

import difflib
import re
from collections.abc import Collection, Iterable

from primer.common import console
from primer.errors import UsageError
from primer.gin_config import gin_state

# gin's messages on names that nothing registers: "@MDHAA" of a value, "MDHAA" of a binding.
_UNKNOWN = re.compile(r"No configurable matching (?:reference )?'@?(?:\w+[./])*(\w+)(?:\(\))?'")


def as_usage_error(error: Exception) -> UsageError:
    """Returns a UsageError with the message of gin's parser in one line.

    A name that gin does not know gets a suggestion, once the modules with all names are imported.
    """
    text = " ".join(str(error).split())
    unknown = _UNKNOWN.search(text)
    names = gin_state.configurable_names() if unknown else ()
    similar = difflib.get_close_matches(unknown[1], names, n=1, cutoff=0.7) if unknown else []
    hint = f" Did you mean {similar[0]}?" if similar else ""
    return UsageError(f"gin cannot take these settings: {text}{hint}")


def check_macro_names(bindings: Iterable[str]) -> None:
    """Looks for macros of `--gin_param` that nothing refers to.

    Prints a line for each, since its binding has no effect.

    Args:
        bindings: the values of `--gin_param`.

    Raises:
        UsageError: the name is nearly that of a macro that a binding refers to.
    """
    for name, text in refuse_misspelled(bindings, gin_state.macros_referred_to()):
        console.say(f"--gin_param {text!r} has no effect: nothing refers to {name}.")


def refuse_misspelled(bindings: Iterable[str], names: Collection[str]) -> list[tuple[str, str]]:
    """Returns (name, binding) of the macros that are not among some names.

    Args:
        bindings: the values of `--gin_param`.
        names: those of the macros that bindings refer to.

    Raises:
        UsageError: a name is nearly one of them.
    """
    found = []
    for text in map(str.strip, bindings):
        match = re.match(r"(\w+)\s*=", text)
        if not match or match[1] in names:
            continue
        similar = difflib.get_close_matches(match[1], names, n=1, cutoff=0.85)
        if similar:
            raise UsageError(
                f"--gin_param {text!r}: nothing refers to {match[1]}; did you mean {similar[0]}?"
            )
        found.append((match[1], text))
    return found
