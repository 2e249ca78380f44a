"""Gin files as text: their statements with line numbers.

Needs neither TensorFlow nor the classes that the files name.
"""

import dataclasses
import functools
import os
from typing import IO, Any, TypeAlias

from gin import config_parser

from primer.gin_config import config_files

# A named tuple of gin-config's parser, which has no common class: BindingStatement,
# BlockDeclaration, ImportStatement or IncludeStatement.
Statement: TypeAlias = Any


@dataclasses.dataclass(frozen=True)
class Macro:
    """`%name` on the right of a binding.

    Attributes:
        name: the name, with its scope if it has one.
    """

    name: str


@dataclasses.dataclass(frozen=True)
class Reference:
    """`@name` or `@name()` on the right of a binding.

    Attributes:
        name: the name, with its scope if it has one.
        evaluate: whether it is `@name()`.
    """

    name: str
    evaluate: bool


class _NamesAsWritten(config_parser.ParserDelegate):
    """Keeps names as they are written, whether they are registered or not."""

    def configurable_reference(self, scoped_configurable_name, evaluate):
        return Reference(scoped_configurable_name, evaluate)

    def macro(self, macro_name):
        return Macro(macro_name)


def parse_file(path: str) -> list[Statement]:
    """Returns the statements of a gin file in order, from gin-config's `config_parser`.

    Raises:
        SyntaxError: the file is not gin; the error names the line.
    """
    stat = os.stat(path)
    return list(_parsed(os.path.abspath(path), stat.st_mtime_ns, stat.st_size))


@functools.lru_cache(maxsize=256)
def _parsed(path: str, *unchanged: int) -> list[Statement]:
    """Parses a file once as long as its time and size stay: a run's start reads it several times.

    Args:
        path: the file.
        unchanged: its time of modification and its size.
    """
    del unchanged
    with open(path, encoding="utf-8") as lines:
        return parse_text(lines)


def parse_text(text: str | IO[str]) -> list[Statement]:
    """Returns the statements of gin code, a string or an open file, in order.

    Raises:
        SyntaxError: the text is not gin; the error names the line.
    """
    return list(config_parser.ConfigParser(text, _NamesAsWritten()))


def macros_set(path: str) -> dict[str, Any]:
    """Returns {name: value} of the macros that a file sets itself, without those it includes."""
    return {macro_name(s): s.value for s in parse_file(path) if is_macro(s)}


def is_include(statement: Statement) -> bool:
    """Returns whether a statement is `include "file.gin"`."""
    return isinstance(statement, config_parser.IncludeStatement)


def is_import(statement: Statement) -> bool:
    """Returns whether a statement is `import module` or `from package import module`."""
    return isinstance(statement, config_parser.ImportStatement)


def is_binding(statement: Statement) -> bool:
    """Returns whether a statement sets a parameter or a macro."""
    return isinstance(statement, config_parser.BindingStatement)


def is_macro(statement: Statement) -> bool:
    """Returns whether a statement is `name = value`, without a dot."""
    return is_binding(statement) and not statement.arg_name


def macro_name(statement: Statement) -> str:
    """Returns the name that `name = value` sets, with its scope if it has one."""
    return f"{statement.scope}/{statement.selector}" if statement.scope else statement.selector


def gin_files(directory: str) -> list[str]:
    """Returns all gin files below a folder, as sorted relative paths."""
    found = []
    for folder, _, files in os.walk(directory):
        found += [os.path.join(folder, name) for name in files if name.endswith(".gin")]
    return sorted(os.path.relpath(path, directory).replace(os.sep, "/") for path in found)


def declared_slots(directory: str) -> dict[str, Any]:
    """Returns the macros that files of a folder may set, from the two files that declare them.

    Returns:
        {name: value in those files}: those of defaults.gin, then those of sizes/tiny.gin.
    """
    names = (config_files.SLOT_DEFAULTS, config_files.SLOT_SIZES)
    files = (os.path.join(directory, name) for name in names)
    return {name: value for path in files for name, value in macros_set(path).items()}
