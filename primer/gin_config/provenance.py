"""The file and the line of each gin binding: gin 0.5.0 does not keep them, its parser does.

Parses the files a second time, in gin's order and on gin's search path, after gin has parsed them:
the names of configurables are registered by then.
"""

import dataclasses
import functools
import os
from collections.abc import Iterable, Sequence

import gin

from primer.common import user_paths
from primer.gin_config import config_files, gin_state, statements

PARAM = "--gin_param"

Key = tuple[str, str, str]  # (scope, complete selector, parameter).


@dataclasses.dataclass(frozen=True)
class GinFile:
    """A gin file.

    Attributes:
        name: the name in `--gin_file` or in an include line.
        path: the absolute path, or a URL.
    """

    name: str
    path: str

    @functools.cached_property
    def kind(self) -> str | None:
        """Its folder of Primer's, or the one whose name its own folder has, or None."""
        return config_files.kind_of(self.path)


@dataclasses.dataclass(frozen=True)
class Setting:
    """One statement that sets a key.

    Attributes:
        key: (scope, complete selector, parameter).
        files: the file of the statement, after those that include it; empty for `--gin_param`.
        line: the line in the file; for `--gin_param` of no meaning.
    """

    key: Key
    files: tuple[GinFile, ...]
    line: int

    @property
    def where(self) -> str:
        """`file:line`, or `--gin_param`."""
        return f"{self.files[-1].name}:{self.line}" if self.files else PARAM

    def is_installed(self, directories: Iterable[str]) -> bool:
        """Returns whether its file lies below one of these folders, given as absolute paths."""
        if not self.files:
            return False
        path = self.files[-1].path
        return any(path.startswith(os.path.join(folder, "")) for folder in directories)


def locate_settings(names: Iterable[str], params: Iterable[str] = ()) -> list[Setting]:
    """Returns all settings in gin's order; of two with the same key the later is in force.

    Args:
        names: the gin files of the run, in order.
        params: the values of `--gin_param`.

    Raises:
        FileNotFoundError: no folder of gin's search path has a file.
        SyntaxError: a file is not gin.
    """
    found = []
    for name in names:
        found += _of_file(name, ())
    return found + _of_statements(statements.parse_text("\n".join(params)), ())


def settings_in_force(settings: Iterable[Setting]) -> dict[Key, Setting]:
    """Returns {key: its last setting}."""
    return {setting.key: setting for setting in settings}


def _of_file(name: str, including: tuple[GinFile, ...]) -> list[Setting]:
    path, reader = gin_state.find_file(name)
    absolute = path if user_paths.is_remote(path) else os.path.realpath(path)
    if reader is open:
        parsed = statements.parse_file(path)
    else:
        with reader(path) as lines:
            parsed = statements.parse_text(lines)
    return _of_statements(parsed, (*including, GinFile(name, absolute)))


def _of_statements(
    parsed: Sequence[statements.Statement], files: tuple[GinFile, ...]
) -> list[Setting]:
    found = []
    for statement in parsed:
        if statements.is_include(statement):
            found += _of_file(statement.filename, files)
        elif statements.is_binding(statement):
            key = _key(statement)
            if key:
                found.append(Setting(key, files, statement.location.line_num))
    return found


def _key(statement: statements.Statement) -> Key | None:
    """Returns gin's key of a binding; None for an unknown name, which gin skips."""
    if statements.is_macro(statement):
        return statements.macro_name(statement), gin_state.MACRO, "value"
    try:
        names = (statement.scope, statement.selector, statement.arg_name)
        return gin.config.ParsedBindingKey.parse(names).scope_selector_arg
    except ValueError:
        return None
