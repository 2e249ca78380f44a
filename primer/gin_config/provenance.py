"""Where each gin binding was set: gin 0.5.0 forgets file and line, its parser does not.

Reads the files once more, in gin's order and on gin's search path, after gin has parsed them: the
names of configurables are then known.
"""

import dataclasses
import os

import gin

from primer.gin_config import config_files, gin_state
from primer.gin_config import statements as gin_text

PARAM = "--gin_param"


@dataclasses.dataclass(frozen=True)
class GinFile:
    """A gin file: the name by which it was asked for, and its path on the disk."""

    name: str
    path: str

    @property
    def kind(self) -> str | None:
        """The folder of gin files that it lies in (`architectures`), or None."""
        folder = os.path.basename(os.path.dirname(self.path))
        return folder if folder in config_files.kinds() else None

    @property
    def stem(self) -> str:
        """The name without folders: `primer.gin`."""
        return os.path.basename(self.name)


@dataclasses.dataclass(frozen=True)
class Setting:
    """One statement that sets a key: the files from the outermost to its own, and its line.

    A setting of `--gin_param` has no file and no line.
    """

    key: tuple  # (scope, selector, parameter) with gin's complete selector.
    files: tuple
    line: int

    @property
    def where(self) -> str:
        """`file:line`, or `--gin_param`."""
        return f"{self.files[-1].name}:{self.line}" if self.files else PARAM

    def is_installed(self, directories) -> bool:
        """Whether its file lies in one of these folders, given by their absolute paths."""
        if not self.files:
            return False
        path = self.files[-1].path
        return any(path.startswith(os.path.join(folder, "")) for folder in directories)


def locate_settings(names, params=()) -> list:
    """All settings in gin's order; of two with the same key the later is in force.

    Args:
        names: gin files as `--gin_file` has them, after those that are read before.
        params: the texts of `--gin_param`.

    Raises:
        OSError: a file is not there.
        SyntaxError: a file is not gin.
    """
    found = []
    for name in names:
        found += _of_file(name, ())
    return found + _of_statements(gin_text.parse_text("\n".join(params)), ())


def settings_in_force(found) -> dict:
    """{key: its last Setting}."""
    return {setting.key: setting for setting in found}


def _of_file(name, outer):
    path, reader = gin_state.find_file(name)
    absolute = path if "://" in path else os.path.realpath(path)
    with reader(path) as lines:
        return _of_statements(gin_text.parse_text(lines), (*outer, GinFile(name, absolute)))


def _of_statements(statements, files):
    found = []
    for statement in statements:
        if gin_text.is_include(statement):
            found += _of_file(statement.filename, files)
        elif gin_text.is_binding(statement):
            key = _key(statement)
            if key:
                found.append(Setting(key, files, statement.location.line_num))
    return found


def _key(statement):
    """gin's own key for a binding; None for what gin was told to skip."""
    if gin_text.is_macro(statement):
        return gin_text.macro_name(statement), gin_state.MACRO, "value"
    try:
        given = (statement.scope, statement.selector, statement.arg_name)
        return gin.config.ParsedBindingKey.parse(given).scope_selector_arg
    except ValueError:
        return None
