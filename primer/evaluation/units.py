"""The units of a result, and checks of the units that a run requires."""

from collections.abc import Sequence

from primer.data import whole_documents
from primer.errors import UsageError

# Units whose denominator is counted on the text before tokenization.
UNITS_OF_TEXT = ("bits_per_byte", "bits_per_character", "perplexity_per_word")
UNITS_OF_TOKENS = ("nats_per_token", "perplexity_per_token")
UNITS = (*UNITS_OF_TOKENS, *UNITS_OF_TEXT)


def check_units_known(units: Sequence[str]) -> None:
    """Raises UsageError for a name that is not one of UNITS."""
    unknown = sorted(set(units) - set(UNITS))
    if unknown:
        raise UsageError(
            f"protocol.units has {', '.join(map(repr, unknown))}: expected some of "
            f"{', '.join(UNITS)}"
        )


def check_units_available(units: Sequence[str], task_name: str, counts_rows: bool) -> None:
    """Raises UsageError for a unit of text where the text is not known.

    Args:
        units: some of UNITS.
        task_name: a task or mixture.
        counts_rows: whether the protocol is as_released, which scores rows of a pipeline.
    """
    of_text = [unit for unit in units if unit in UNITS_OF_TEXT]
    if not of_text:
        return
    if counts_rows:
        reason = "the protocol as_released counts rows whose text is not known"
        hint = "choose another protocol (protocol.name, --protocol)"
    elif not whole_documents.keeps_text(task_name):
        reason = f"the data set of {task_name} keeps token ids and no text"
        hint = f"use {' or '.join(UNITS_OF_TOKENS)}"
    else:
        return
    raise UsageError(
        f"protocol.units has {', '.join(of_text)}, and {reason}: there are no bytes, "
        f"characters or words to divide by; {hint}"
    )
