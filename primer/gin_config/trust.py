"""Checks a model directory's own gin file before gin reads it: its imports and includes run code.

A gin file imports Python modules, and with `from __gin__ import dynamic_registration` it may call
any function of them. A gin file on a command line is code that its user chose. That of a model
directory may come from somebody else, so it may import modules of the packages below only, and
include files of these packages only, unless the user names what else to trust.
"""

import os
from collections.abc import Iterable

from primer.common import user_paths
from primer.errors import UsageError
from primer.gin_config import config_files, statements

# Their modules register configurables when they are imported, and do nothing else.
PACKAGES = ("primer", "t5_imports", "mesh_tensorflow", "t5", "seqio")

_DYNAMIC = "__gin__.dynamic_registration"


def check_config(path: str, trusted: Iterable[str] = ()) -> None:
    """Refuses a gin file of a model directory that may run code of its own.

    Args:
        path: the file, local or remote.
        trusted: further modules, packages or included files that the user has agreed to.

    Raises:
        UsageError: the file is not gin, or imports or includes something that is not trusted.
    """
    accepted = frozenset(trusted)
    for statement in _statements(path):
        if statements.is_include(statement):
            _require(_is_trusted_file(statement.filename, accepted), path, statement)
        elif statements.is_import(statement):
            _require(_is_trusted_module(statement.module, accepted), path, statement)


def _statements(path):
    try:
        with user_paths.open_text(path) as lines:
            return statements.parse_text(lines)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} is not a gin file ({str(error).splitlines()[0]}); restore it from a backup"
        ) from error


def _is_trusted_module(module: str, accepted: frozenset[str]) -> bool:
    parts = module.split(".")
    if any(".".join(parts[:length]) in accepted for length in range(1, len(parts) + 1)):
        return True
    # A module like `primer.__main__` is a program.
    return parts[0] in PACKAGES and not any(part.startswith("__") for part in parts)


def _is_trusted_file(name: str, accepted: frozenset[str]) -> bool:
    """Whether an included file is named by the user, or by its name in Primer's own folder."""
    if name in accepted:
        return True
    folder = os.path.realpath(config_files.gin_directory())
    path = os.path.realpath(os.path.join(folder, name))
    return path.startswith(os.path.join(folder, "")) and os.path.isfile(path)


def _require(is_trusted, path, statement):
    if is_trusted:
        return
    if statements.is_include(statement):
        what, name = f"includes {statement.filename!r}", statement.filename
    elif statement.module == _DYNAMIC:
        what, name = "uses dynamic registration, which may call any Python function", _DYNAMIC
    else:
        what, name = f"imports the Python module {statement.module!r}", statement.module
    raise UsageError(
        f"{path}, line {statement.location.line_num}: {what}, which runs code that is not "
        f"Primer's; nothing was run. If you trust the origin of this directory, add --trust {name} "
        f"(primer.load: trust=[{name!r}])"
    )
