"""Checks of a protocol's settings: with each other, with the data, and with the model."""

from collections.abc import Sequence

from primer.common.settings import evaluation_settings
from primer.errors import UsageError
from primer.evaluation.units import UNITS_OF_TEXT, UNITS_OF_TOKENS, check_units_available

NAMES_LEFT_TO_RIGHT = evaluation_settings.PROTOCOLS_LEFT_TO_RIGHT
NAMES = evaluation_settings.PROTOCOLS


def check_model(name: str, ext_len: int | None, is_masked: bool, has_memory: bool) -> None:
    """Raises UsageError unless a model predicts tokens from what a protocol shows it.

    Args:
        name: the protocol.
        ext_len: the protocol's.
        is_masked: whether the model sees both sides of a token.
        has_memory: whether the model has memory of earlier segments.
    """
    if is_masked and name != "masked":
        raise UsageError(
            f"protocol.name = {name!r} (--protocol) scores each token from those to its "
            "left, and this model sees both sides (utils.run.model_type = 'aligned'); expected "
            "masked"
        )
    if not is_masked and name == "masked":
        raise UsageError(
            "protocol.name = 'masked' (--protocol) is for models that see both sides of a "
            "token (objectives/masked_lm.gin), and this one reads left to right; expected one "
            f"of {', '.join(NAMES_LEFT_TO_RIGHT)}"
        )
    if has_memory and name == "sliding":
        raise UsageError(
            "protocol.name = 'sliding' (--protocol) reads tokens again for their context, and this "
            "model has memory for that (memory_length): use stream, with same_length_eval = True "
            "for a window that slides token by token"
        )
    if ext_len and not has_memory:
        raise UsageError(
            f"protocol.ext_len = {ext_len} (--ext_len) tokens are computed again before the memory "
            "ends, and this model has none (memory_length = None): leave it out, or use the "
            "protocol sliding, which gives such a model context"
        )


def check_units(name: str, units: Sequence[str], task_name: str) -> None:
    """Raises UsageError if the data set of a task or mixture lacks the text for a unit.

    Args:
        name: the protocol.
        units: the units that a result must have.
        task_name: a task or mixture.
    """
    of_text = [unit for unit in units if unit in UNITS_OF_TEXT]
    if of_text and name == "masked":
        raise UsageError(
            f"protocol.units has {', '.join(of_text)}, and the protocol masked scores a part "
            "of the tokens: there are no bytes, characters or words to divide by; use "
            f"{UNITS_OF_TOKENS[0]}"
        )
    check_units_available(units, task_name, name == "as_released")
