"""Which group each group is compared with: one for all, or of each size one."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence

from primer.errors import UsageError
from primer.experiments.report import comparable
from primer.experiments.report.comparable import Curves
from primer.experiments.report.groups import Group


@dataclasses.dataclass(frozen=True)
class Rivals:
    """Groups that are compared with one baseline.

    Attributes:
        curves: {group: its evaluated runs}, in the order of the groups, called by what they do not
            have in common.
        baseline: the name of the baseline among them.
        values: what they have in common where there are several baselines, as "size=64"; else "".
    """

    curves: Curves
    baseline: str
    values: str = ""


def of_groups(names: Sequence[str], baseline: str) -> dict[str, str]:
    """Returns {group: the group that it is compared with}.

    Args:
        names: those of all groups.
        baseline: the name of a group, or some of the values of several names. Then each group is
            compared with the one that has these values, and its own elsewhere: by
            "model=transformer" "size=64,model=primer" is compared with "size=64,model=transformer".

    Raises:
        UsageError: no group has this name or these values; a group is compared with none.
    """
    words = [baseline] if baseline in names else baseline.split(",")
    own = [name for name in names if name == baseline or set(words) <= set(name.split(","))]
    if not own:
        close = difflib.get_close_matches(baseline, names, n=3, cutoff=0.4) or names[:5]
        raise UsageError(
            f"--baseline {baseline}: no group of runs has this name or these values; expected one "
            f"as {', '.join(close)}"
        )
    if baseline in names or len(own) == 1:
        return dict.fromkeys(names, own[0])
    keys = {word.partition("=")[0] for word in words}
    of_rest = {_without(name, keys): name for name in own}
    for name in names:
        if _without(name, keys) not in of_rest:
            raise UsageError(
                f"--baseline {baseline}: {name} has no partner, because no group has these values "
                f"and otherwise {_without(name, keys)}; leave {name} out, or name a whole group"
            )
    return {name: of_rest[_without(name, keys)] for name in names}


def _without(name: str, keys: set[str]) -> str:
    """Returns the values of a name but for those of some keys: "size=64"."""
    return ",".join(part for part in name.split(",") if part.partition("=")[0] not in keys)


def divided(
    sets: Sequence[Curves], partners: Mapping[str, str], groups: Sequence[Group]
) -> list[Rivals]:
    """Returns the rivals of each baseline in each set of curves that may be compared.

    Args:
        sets: {group: its evaluated runs} of each text and protocol.
        partners: {group: its baseline}.
        groups: all groups.

    Raises:
        UsageError: a baseline has no result; a group has none that may be compared with its own.
    """
    found = []
    for own in sets:
        for baseline in dict.fromkeys(partners.values()):
            if baseline in comparable.counted(own):
                rivals = {name: own[name] for name in own if partners[name] == baseline}
                found.append(Rivals(rivals, baseline))
    for baseline in dict.fromkeys(partners.values()):
        if all(one.baseline != baseline for one in found):
            _refuse_baseline(baseline, sets, groups)
    compared = {name for one in found for name in one.curves}
    for own in sets:
        for name in own:
            if name not in compared:
                _refuse(name, own, next(r for r in found if r.baseline == partners[name]))
    return found if len(set(partners.values())) == 1 else [_named(rivals) for rivals in found]


def _named(rivals: Rivals) -> Rivals:
    """Returns the rivals of one baseline of several, called by that in which they differ."""
    parts = {name: name.split(",") for name in rivals.curves}
    common = [part for part in parts[rivals.baseline] if all(part in own for own in parts.values())]
    short = {name: [part for part in own if part not in common] for name, own in parts.items()}
    keys = {tuple(part.partition("=")[0] for part in own) for own in short.values()}
    if len(keys) == 1 and len(keys.pop()) == 1:
        # One axis: its values alone, as for groups.
        short = {name: [own[0].partition("=")[2]] for name, own in short.items()}
    names = {name: ",".join(own) or name for name, own in short.items()}
    called = {names[name]: own for name, own in rivals.curves.items()}
    return Rivals(called, names[rivals.baseline], ",".join(common))


def _refuse_baseline(baseline: str, sets: Sequence[Curves], groups: Sequence[Group]) -> None:
    if any(baseline in own for own in sets):
        raise UsageError(f"--baseline {baseline}: all its runs were stopped as hopeless")
    directory = next(group for group in groups if group.name == baseline).runs[0].model_dir
    raise UsageError(
        f"--baseline {baseline} has no result yet: primer eval --model_dir {directory}"
    )


def _refuse(name: str, own: Curves, rivals: Rivals) -> None:
    row, base = own[name][0].last.row, rivals.curves[rivals.baseline][0].last.row
    raise UsageError(
        f"{name} cannot be compared with the baseline {rivals.baseline}: "
        f"{comparable.why_apart(row, base)}; evaluate both alike (primer eval --protocol, "
        "--split), leave it out, or leave out --baseline, which shows them apart"
    )
