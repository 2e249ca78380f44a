"""The sizes of a ladder: a number of parameters asks for a depth of sizes/ladder.gin."""

import dataclasses
import os

from primer.common import checks
from primer.common.settings import ladder_depth
from primer.errors import UsageError
from primer.gin_config import config_files, statements

# The file of sizes/ whose depth is set, and the beginning of the names of those with a depth.
SIZE, _NAMED = "ladder", "ladder_"
# A number that the smallest model misses by less than this asks for it.
_WITHIN = 0.1


@dataclasses.dataclass(frozen=True)
class Size:
    """A size of a ladder.

    Attributes:
        label: the number as it was asked for: "3M".
        wanted: the number of parameters without those of the embedding.
        depth: the number of layers of the model that it becomes.
    """

    label: str
    wanted: float
    depth: int


def parse(text: str) -> list[Size]:
    """Returns the sizes of "3M,10M,30M", the smallest first.

    A number that names a file of sizes/ (`ladder_1b`) has its depth, another one the nearest.

    Raises:
        UsageError: a part is no number, or below the smallest model; two become one model.
    """
    found = sorted(map(_size, text.split(",")), key=lambda size: size.wanted)
    for one, other in zip(found, found[1:]):
        if one.depth == other.depth:
            raise UsageError(
                f"--sizes {text}: {one.label} and {other.label} are one model of {one.depth} "
                f"layers (about {ladder_depth.parameters(one.depth):,} parameters without the "
                f"embedding; {one.depth + 1} layers have "
                f"{ladder_depth.parameters(one.depth + 1):,}); leave one out"
            )
    return found


def _size(part: str) -> Size:
    label = part.strip()
    expected = "numbers of parameters, as 3M,10M,30M"
    wanted = checks.number_with_unit("--sizes", label, expected)
    smallest = ladder_depth.parameters(1)
    if wanted < smallest * (1 - _WITHIN):
        raise UsageError(
            f"--sizes {label}: the smallest model of the ladder, one layer of width "
            f"{ladder_depth.HEAD_WIDTH}, has {smallest:,} parameters without the embedding"
        )
    named = named_depths().get(label.lower())
    return Size(label, wanted, named or ladder_depth.nearest(wanted))


def named_depths() -> dict[str, int]:
    """Returns {"3m": 4, ...}: the depths of the files `sizes/ladder_3m.gin`, ..."""
    names = [name for name in config_files.names_of_kind("sizes") if name.startswith(_NAMED)]
    return {name.removeprefix(_NAMED): _depth(name) for name in names}


def _depth(name: str) -> int:
    path = os.path.join(config_files.gin_directory(), config_files.gin_file("sizes", name))
    return statements.macros_set(path)["depth"]
