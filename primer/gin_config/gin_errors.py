"""Mistakes in gin files and bindings, reported in one line each.

gin accepts a misspelled slot: `dropout_rat = 0.1` is a macro that nothing refers to.
"""

import difflib
import re
from collections.abc import Iterable

from primer.common import console
from primer.errors import UsageError
from primer.gin_config import gin_state


def as_usage_error(error: Exception) -> UsageError:
    """Returns a UsageError with the message of gin's parser in one line."""
    return UsageError(f"gin cannot take these settings: {' '.join(str(error).split())}")


def check_macro_names(bindings: Iterable[str]) -> None:
    """Looks for macros of `--gin_param` that nothing refers to.

    Prints a line for each, since its binding has no effect.

    Args:
        bindings: the values of `--gin_param`.

    Raises:
        UsageError: the name is nearly that of a macro that a binding refers to.
    """
    names = gin_state.macros_referred_to()
    for text in bindings:
        match = re.match(r"\s*(\w+)\s*=", text)
        if not match or match[1] in names:
            continue
        similar = difflib.get_close_matches(match[1], names, n=1, cutoff=0.85)
        if similar:
            raise UsageError(
                f"--gin_param {text.strip()!r}: nothing refers to {match[1]}; "
                f"did you mean {similar[0]}?"
            )
        console.say(f"--gin_param {text.strip()!r} has no effect: nothing refers to {match[1]}.")
