"""Two files of one kind that set the same slot: a model takes one file of each kind.

`models/x.gin` includes `architectures/a.gin`. With `architectures/z.gin` after it, the slots that z
does not set keep the values of a: a mixture of both. Files that share no slot compose, as
`switch.gin` over `primer.gin`.
"""

import dataclasses
from collections.abc import Sequence

from primer.gin_config import gin_state
from primer.gin_config.provenance import GinFile, Setting

# Files of these folders come last and override; a file that they include belongs to them.
OVERRIDING = ("run",)
NAMED = 4  # The message names up to so many slots and counts the others.


@dataclasses.dataclass(frozen=True)
class SharedSlots:
    """Two files of a kind that set the same slots.

    Attributes:
        kind: the folder of gin files, as "architectures".
        earlier: the file whose values are overridden.
        later: the file whose values are in force.
        slots: the names of the slots.
    """

    kind: str
    earlier: str
    later: str
    slots: tuple[str, ...]

    def __str__(self) -> str:
        names = [f"`{name}`" for name in self.slots]
        if len(names) > NAMED:
            names = [*names[: NAMED - 1], f"{len(names) - NAMED + 1} more slots"]
        listed = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
        in_force = f"the later one, {self.later.rsplit('/', 1)[-1]}, is in force"
        return f"{self.earlier} and {self.later} both set {listed}; {in_force}"


def find_shared_slots(settings: Sequence[Setting]) -> list[SharedSlots]:
    """Returns the pairs of files of a kind that set the same slot.

    A file and the files of its own kind that it includes count as one. Slots that a file of no kind
    or `--gin_param` sets last are left out: overriding is gin's normal use.

    Args:
        settings: all settings in gin's order, from `provenance.locate_settings`.
    """
    pairs: dict[tuple[GinFile, GinFile], list[str]] = {}
    for slot, setters in _files_of_slots(settings).items():
        last = setters[-1]
        if last is None:
            continue
        for file in dict.fromkeys(setters):
            if file and file.path != last.path and file.kind == last.kind:
                pairs.setdefault((file, last), []).append(slot)
    return [
        SharedSlots(str(last.kind), file.name, last.name, tuple(slots))
        for (file, last), slots in pairs.items()
    ]


def _files_of_slots(settings: Sequence[Setting]) -> dict[str, list[GinFile | None]]:
    """Returns {macro: the files that set it, in order}."""
    found: dict[str, list[GinFile | None]] = {}
    for setting in settings:
        scope, selector, _ = setting.key
        if selector == gin_state.MACRO:
            found.setdefault(scope, []).append(_outermost_of_kind(setting.files))
    return found


def _outermost_of_kind(files: Sequence[GinFile]) -> GinFile | None:
    """Returns the outermost file of the kind of a setting's own file.

    None for a file of no kind, for `--gin_param`, and below a file of OVERRIDING.
    """
    kind = files[-1].kind if files else None
    if kind is None or any(file.kind in OVERRIDING for file in files):
        return None
    return next(file for file in files if file.kind == kind)
