"""The sizes of a model at other widths: all that grow with the width, in the same ratio."""

import math
from collections.abc import Sequence
from fractions import Fraction

from primer.errors import UsageError
from primer.gin_config import gin_state

WIDTH = "d_model"
# Of gin/defaults.gin. The channels of a head, d_kv, do not grow.
GROWING = (
    WIDTH,
    "d_ff",
    "d_ff_gated",
    "num_heads",
    "num_memory_heads",
    "d_model_narrow",
    "d_ff_12x",
    "d_ff_12x_gated",
)
# Powers of two: the widths by default, as multiples of the gin files' own.
DOUBLINGS = (-1, 0, 1, 2)


def default_widths() -> list[int]:
    """Returns half, once, twice and four times the d_model that gin has.

    Where half of a size is no whole number, once to eight times.
    """
    sizes = _sizes()
    first = DOUBLINGS[0] if all(number % 2 == 0 for number in sizes.values()) else 0
    return [int(sizes[WIDTH] * 2.0 ** (first + n)) for n in range(len(DOUBLINGS))]


def bindings_at(width: int) -> list[str]:
    """Returns gin bindings of all sizes that grow with the width, for a model of this d_model.

    Args:
        width: d_model; the sizes in force are those of the gin files.

    Raises:
        UsageError: one of them would be no whole number.
    """
    sizes = _sizes()
    ratio = Fraction(width, sizes[WIDTH])
    for name, number in sizes.items():
        if (number * ratio).denominator != 1:
            raise UsageError(
                f"--widths {width}: {name} = {number} at d_model = {sizes[WIDTH]} would be "
                f"{float(number * ratio):g}; give multiples of "
                f"{sizes[WIDTH] // math.gcd(*sizes.values())}"
            )
    return [f"{name} = {int(number * ratio)}" for name, number in sizes.items()]


def checked(widths: Sequence[int]) -> list[int]:
    """Returns widths in ascending order.

    Raises:
        UsageError: they are not two or more different numbers from 1.
    """
    if len(set(widths)) < 2 or min(widths) < 1:
        raise UsageError(
            f"--widths {','.join(map(str, widths))}: expected two or more different values of "
            "d_model, as in 64,128,256"
        )
    return sorted(set(widths))


def _sizes() -> dict[str, int]:
    """Returns {slot: number} of the sizes that grow and that gin sets."""
    found = {name: _number(name) for name in GROWING}
    # Multi-query attention keeps its one head of keys.
    if found["num_memory_heads"] == 1:
        del found["num_memory_heads"]
    if not found[WIDTH]:
        raise UsageError("d_model is no whole number: give a file of sizes/, or --gin_param")
    return {name: number for name, number in found.items() if number}


def _number(name: str) -> int:
    """Returns the whole number of a slot; 0 for none."""
    if "value" not in gin_state.bindings_of(name, gin_state.MACRO):
        return 0
    try:
        value = gin_state.value_of_macro(name)
    except ValueError:  # `unset_size`: only some models need it.
        return 0
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
