"""Where the gin files are, which names they have, and which files a name stands for."""

import functools
import math
import os
import re
from collections.abc import Iterable

from primer.errors import UsageError

# The files that declare the slots: macros that the files of a model may set.
SLOT_DEFAULTS = "defaults.gin"
SLOT_SIZES = "sizes/tiny.gin"

# The file that every model starts with.
MODEL_DEFAULTS = "models/defaults.gin"

# A family and a number of parameters: "gpt_neo_1_3b", 1.3 billion.
_SIZED = re.compile(r"(.+?)_(\d+(?:_\d+)?)([mb])")
_UNITS = {"m": 1e6, "b": 1e9}


@functools.cache
def gin_directory() -> str:
    """Returns the absolute path of the folder of gin files.

    It is `gin/` beside the package in a checkout (and in an editable installation), and
    `primer/configs/` in an installed package.

    Raises:
        UsageError: neither folder exists.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    candidates = [os.path.join(os.path.dirname(package), "gin"), os.path.join(package, "configs")]
    for directory in candidates:
        # Another project may have a folder `gin` beside our package (site-packages/gin has).
        if os.path.isfile(os.path.join(directory, SLOT_DEFAULTS)):
            return directory
    raise UsageError(
        f"Primer's gin files are missing: no {SLOT_DEFAULTS} in {' or '.join(candidates)}; "
        "install the package again"
    )


def kinds() -> list[str]:
    """Returns the names of the folders of gin files, sorted: "architectures", "sizes", ..."""
    return list(_folders_of_kinds())


@functools.cache
def _folders_of_kinds() -> tuple[str, ...]:
    directory = gin_directory()
    folders = (entry for entry in os.listdir(directory) if not entry.startswith((".", "_")))
    return tuple(sorted(name for name in folders if os.path.isdir(os.path.join(directory, name))))


def names_of_kind(kind: str) -> list[str]:
    """Returns the names of the gin files in a folder, sorted, without `.gin`.

    The files called `defaults.gin` are left out.

    Args:
        kind: a folder below `gin_directory()`, such as "models" or "sizes".
    """
    directory = os.path.join(gin_directory(), kind)
    if not os.path.isdir(directory):
        return []
    files = (os.path.splitext(entry) for entry in os.listdir(directory))
    return sorted(stem for stem, extension in files if extension == ".gin" and stem != "defaults")


def gin_file(kind: str, name: str) -> str:
    """Returns the path of a gin file relative to `gin_directory()`, as `--gin_file` takes it.

    Args:
        kind: a folder below `gin_directory()`.
        name: a file of this folder, or of a folder in it (`sizes/published/`), without `.gin`.

    Raises:
        UsageError: the folders have no such file; the message lists the names they have.
    """
    folders = [kind, *_folders_in(kind)]
    known = {other: folder for folder in folders for other in names_of_kind(folder)}
    if name not in known:
        raise UsageError(
            f"{kind}: no {name!r}; expected one of {short_list(known) or '(none are installed)'}"
        )
    return f"{known[name]}/{name}.gin"


def _folders_in(kind: str) -> list[str]:
    path = os.path.join(gin_directory(), kind)
    entries = sorted(os.listdir(path)) if os.path.isdir(path) else []
    return [f"{kind}/{entry}" for entry in entries if os.path.isdir(os.path.join(path, entry))]


def kind_of(path: str) -> str | None:
    """Returns the folder below `gin_directory()` to which a gin file belongs.

    A file elsewhere belongs to the folder whose name its own folder has.

    Args:
        path: the path of the file, or a URL.

    Returns:
        A name of `kinds()`, or None.
    """
    own = os.path.relpath(path, gin_directory()).split(os.sep)
    folder = os.path.basename(os.path.dirname(path)) if own[0] == os.pardir else own[0]
    return folder if folder in _folders_of_kinds() else None


def short_list(names: Iterable[str]) -> str:
    """Returns names as a short text, in which names share their beginning: `gpt2_{124m, 355m}`.

    The beginning is the family of models with numbers of parameters (`gpt_neo_{125m, 1_3b}`), in
    the order of these numbers, and the first part of other names.

    Args:
        names: names with parts between underscores.
    """
    names = list(names)
    families = {sized[1] for name in names if (sized := _SIZED.fullmatch(name))}
    groups: dict[str, list[str]] = {}
    for name in sorted(names, key=_number_of_parameters):
        own = [family for family in families if name.startswith(f"{family}_")]
        first = max(own, key=len, default=name.partition("_")[0])
        groups.setdefault(first, []).append(name[len(first) + 1 :])
    in_order = sorted(groups, key=lambda first: _first_with(first, names))
    return ", ".join(_group(first, groups[first]) for first in in_order)


def _number_of_parameters(name: str) -> float:
    """Returns the number that a name ends with; infinity for other names."""
    sized = _SIZED.fullmatch(name)
    return float(sized[2].replace("_", ".")) * _UNITS[sized[3]] if sized else math.inf


def _first_with(first: str, names: list[str]) -> int:
    return min(i for i, name in enumerate(names) if name == first or name.startswith(f"{first}_"))


def _group(first: str, rests: list[str]) -> str:
    named = [rest for rest in rests if rest]
    alone = [first] if "" in rests else []
    if len(named) == 1:
        return ", ".join([*alone, f"{first}_{named[0]}"])
    return ", ".join([*alone, *([f"{first}_{{{', '.join(named)}}}"] if named else [])])


def published_model_files(model: str) -> list[str]:
    """Returns the gin files of a published model, defaults first.

    Args:
        model: a name such as "small_primer".

    Raises:
        UsageError: an unknown name; the message lists the known ones.
    """
    return [MODEL_DEFAULTS, gin_file("models", model)]


def composition_files(architecture: str, activation: str, size: str) -> list[str]:
    """Returns the gin files of a model composed of three parts, defaults first.

    Raises:
        UsageError: an unknown name; the message lists the known ones.
    """
    return [
        MODEL_DEFAULTS,
        gin_file("architectures", architecture),
        gin_file("activations", activation),
        gin_file("sizes", size),
    ]
