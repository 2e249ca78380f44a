"""Moves the norms among the sublayers of a layer, for the stacks.

A norm is a sublayer with "norm" in its name. `LayerStack.sublayers_per_layer` has it before the
call, `[norm, mask, call, dropout, residual]`: the pre-norm order, in which gin files write it.
"""

from collections.abc import Callable, Sequence
from typing import Any

CALL = "sublayer_call_layer"
RESIDUAL = "sublayer_residual"


def norms_before_call(sublayers: Sequence[Callable] | None, stack: str) -> list[Callable]:
    """Returns the norms before `sublayer_call_layer`.

    Args:
        sublayers: those of `LayerStack.sublayers_per_layer`.
        stack: the name of the stack's class, for messages.

    Raises:
        ValueError: there is no norm before the call, or not exactly one call.
    """
    sublayers = sublayers or []
    call = index_of(sublayers, CALL, stack)
    norms = [sublayer for sublayer in sublayers[:call] if is_norm(sublayer)]
    if not norms:
        raise ValueError(
            f"LayerStack.sublayers_per_layer = {names_of(sublayers)}: {stack} expects a norm "
            "before sublayer_call_layer; with none to move, use layer_stack = @PreNormLayerStack"
        )
    return norms


def move_norms_behind(
    sublayers: Sequence[Callable] | None, place: str, stack: str
) -> list[Callable]:
    """Returns the sublayers with the norms before the call moved directly behind another sublayer.

    Args:
        sublayers: those of `LayerStack.sublayers_per_layer`.
        place: the name of the sublayer to move them behind: CALL or RESIDUAL.
        stack: the name of the stack's class, for messages.

    Raises:
        ValueError: as `norms_before_call`, or `place` is not there exactly once.
    """
    sublayers = list(sublayers or [])
    norms = norms_before_call(sublayers, stack)
    call = index_of(sublayers, CALL, stack)
    rest = [s for s in sublayers[:call] if not is_norm(s)] + sublayers[call:]
    behind = index_of(rest, place, stack) + 1
    return rest[:behind] + norms + rest[behind:]


def before_call(sublayers: Sequence[Callable]) -> Sequence[Callable]:
    """Returns the sublayers before `sublayer_call_layer`; all of them if there is none."""
    names = names_of(sublayers)
    return sublayers[: names.index(CALL)] if CALL in names else sublayers


def normalizes_output(sublayers: Sequence[Callable]) -> bool:
    """Returns whether a norm is between the call of the layer and the residual connection."""
    names = names_of(sublayers)
    if CALL not in names:
        return False
    behind = names[names.index(CALL) + 1 :]
    before_residual = behind[: behind.index(RESIDUAL)] if RESIDUAL in behind else behind
    return any("norm" in name for name in before_residual)


def index_of(sublayers: Sequence[Callable], place: str, stack: str) -> int:
    """Returns the index of the sublayer of a name.

    Raises:
        ValueError: there is not exactly one.
    """
    names = names_of(sublayers)
    if names.count(place) != 1:
        raise ValueError(
            f"LayerStack.sublayers_per_layer = {names}: {stack} expects exactly one {place} in it"
        )
    return names.index(place)


def is_norm(sublayer: Callable) -> bool:
    """Returns whether a sublayer is a norm, by its name."""
    return "norm" in name_of(sublayer)


def names_of(sublayers: Sequence[Callable]) -> list[str]:
    """Returns the names of sublayers, as gin files write them."""
    return [name_of(sublayer) for sublayer in sublayers]


def name_of(sublayer: Any) -> str:
    """Returns the name of a sublayer function, also of one wrapped by functools.partial."""
    return getattr(sublayer, "__name__", None) or name_of(sublayer.func)
