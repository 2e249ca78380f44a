"""The factor of embeddings, queries or logits: a number, or a root of a width."""

from primer.common import checks

_EXPECTED = 'a number above 0, "sqrt" or "rsqrt" (of the width)'


def resolve(setting: str, value: float | str, size: float) -> float:
    """Returns the factor that a setting means.

    Args:
        setting: the setting's name, as the user writes it.
        value: a number; "sqrt", which is `size ** 0.5`; or "rsqrt", which is `size ** -0.5`.
        size: the width, such as d_model or d_kv.

    Raises:
        ValueError: the value is none of these.
    """
    if value == "sqrt":
        return size**0.5
    if value == "rsqrt":
        return size**-0.5
    return float(checks.positive_number(setting, value, _EXPECTED, ValueError))
