"""Mistakes in gin files and bindings, as one line each.

gin itself lets a misspelled slot through: `dropout_rat = 0.1` is a macro that nothing refers to.
"""

import difflib
import re

from primer.common import console
from primer.errors import UsageError
from primer.gin_config import gin_state


def as_usage_error(error) -> UsageError:
    """A UsageError that says what gin's parser said."""
    return UsageError(f"gin cannot take these settings: {' '.join(str(error).split())}")


def check_macro_names(bindings):
    """Looks for slots of `--gin_param` that nothing refers to.

    Args:
        bindings: the texts of the bindings.

    Raises:
        UsageError: such a name is nearly that of a slot that something refers to. Where there is no
            such slot, one line says that the binding has no effect.
    """
    used = gin_state.macros_referred_to()
    for text in bindings:
        match = re.match(r"\s*(\w+)\s*=", text)
        if not match or match[1] in used:
            continue
        meant = difflib.get_close_matches(match[1], used, n=1, cutoff=0.85)
        if meant:
            raise UsageError(
                f"--gin_param {text.strip()!r}: nothing refers to {match[1]}; "
                f"did you mean {meant[0]}?"
            )
        console.say(f"--gin_param {text.strip()!r} has no effect: nothing refers to {match[1]}.")
