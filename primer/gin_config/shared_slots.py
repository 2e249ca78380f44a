"""Two files of one kind that set the same slot: an experiment takes one of each kind.

`models/x.gin` includes `architectures/a.gin`; whoever gives `architectures/z.gin` after it gets a
mixture of both wherever z leaves out what a sets. Files that share no slot compose: `switch.gin`
over `primer.gin`.
"""

import dataclasses

from primer.gin_config import gin_state

# A file of these folders is given last to override: what it includes is part of it.
OVERRIDING = ("run",)
NAMED = 4  # So many slots are named, the others counted.


@dataclasses.dataclass(frozen=True)
class SharedSlots:
    """Two files of a kind, the later of which decides what both set."""

    kind: str
    earlier: str
    later: str
    slots: tuple

    def __str__(self):
        names = [f"`{name}`" for name in self.slots]
        if len(names) > NAMED:
            names = [*names[: NAMED - 1], f"{len(names) - NAMED + 1} more slots"]
        listed = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
        in_force = f"the later one, {self.later.rsplit('/', 1)[-1]}, is in force"
        return f"{self.earlier} and {self.later} both set {listed}; {in_force}"


def find_shared_slots(settings) -> list:
    """The pairs of files of a kind that set the same slot, as a list of SharedSlots.

    A file and what it includes of its own kind count as one. Where a file of no kind, or
    `--gin_param`, has the last word on a slot, nothing is said: overriding is gin's normal use.

    Args:
        settings: all settings in gin's order, from `provenance.locate_settings`.
    """
    pairs = {}
    for slot, units in _units_of_slots(settings).items():
        last = units[-1]
        if last is None:
            continue
        for unit in dict.fromkeys(units):
            if unit and unit.path != last.path and unit.kind == last.kind:
                pairs.setdefault((unit, last), []).append(slot)
    return [
        SharedSlots(last.kind, unit.name, last.name, tuple(slots))
        for (unit, last), slots in pairs.items()
    ]


def _units_of_slots(settings) -> dict:
    """{macro: the unit of each file that sets it, in order}."""
    found = {}
    for setting in settings:
        scope, selector, _ = setting.key
        if selector == gin_state.MACRO:
            found.setdefault(scope, []).append(_unit(setting.files))
    return found


def _unit(files):
    """The file that stands for a setting: the outermost one of its own file's kind."""
    kind = files[-1].kind if files else None
    if kind is None or any(file.kind in OVERRIDING for file in files):
        return None
    return next(file for file in files if file.kind == kind)
