"""What gin files that a user names bring with them: a recipe may have a model and a data set."""

import os
from collections.abc import Iterable

from primer.gin_config import config_files, statements


def set_a_model(files: Iterable[str]) -> bool:
    """Returns whether files include an architecture, and the sizes or a number of layers.

    Args:
        files: paths, or names in Primer's folder of gin files.
    """
    paths = _with_included(files)
    kinds = set(map(config_files.kind_of, paths))
    has_sizes = "sizes" in kinds or any("num_layers" in statements.macros_set(p) for p in paths)
    return "architectures" in kinds and has_sizes


def set_a_task(files: Iterable[str]) -> bool:
    """Returns whether files name a data set (`MIXTURE_NAME`); arguments as `set_a_model`."""
    return any("MIXTURE_NAME" in statements.macros_set(path) for path in _with_included(files))


def macros_set(files: Iterable[str]) -> set[str]:
    """Returns the names of the macros that files and their includes set; as `set_a_model`."""
    return {name for path in _with_included(files) for name in statements.macros_set(path)}


def _with_included(files: Iterable[str]) -> list[str]:
    """Returns the paths of local files and of all that they include; others are left out."""
    found: dict[str, None] = {}
    waiting = list(files)
    while waiting:
        name = waiting.pop()
        places = (name, os.path.join(config_files.gin_directory(), name))
        path = next(filter(os.path.isfile, places), None)
        if path and path not in found:
            found[path] = None
            parsed = statements.parse_file(path)
            waiting += [s.filename for s in parsed if statements.is_include(s)]
    return list(found)
