"""Gin files as text: their statements with line numbers.

Needs neither TensorFlow nor the classes that the files name.
"""

import dataclasses
import os

from gin import config_parser


@dataclasses.dataclass(frozen=True)
class Macro:
    """`%name` on the right of a binding."""

    name: str


@dataclasses.dataclass(frozen=True)
class Reference:
    """`@name` or `@name()` on the right of a binding."""

    name: str
    evaluate: bool


class _Names(config_parser.ParserDelegate):
    """Keeps names as they are written, known or not."""

    def configurable_reference(self, scoped_configurable_name, evaluate):
        return Reference(scoped_configurable_name, evaluate)

    def macro(self, macro_name):
        return Macro(macro_name)


def parse_file(path: str) -> list:
    """The statements of a gin file, in order, as gin-config's `config_parser` gives them.

    Raises:
        SyntaxError: the file is not gin; it names the line.
    """
    with open(path, encoding="utf-8") as lines:
        return parse_text(lines)


def parse_text(text) -> list:
    """The statements of gin code, a string or an open file, in order.

    Raises:
        SyntaxError: it is not gin; the error names the line.
    """
    return list(config_parser.ConfigParser(text, _Names()))


def macros_set(path: str) -> dict:
    """The macros that a file sets itself (not what it includes): {name: value}."""
    return {macro_name(s): s.value for s in parse_file(path) if is_macro(s)}


def is_include(statement) -> bool:
    """Whether a statement is `include "file.gin"`."""
    return isinstance(statement, config_parser.IncludeStatement)


def is_binding(statement) -> bool:
    """Whether a statement sets something: a parameter or a macro."""
    return isinstance(statement, config_parser.BindingStatement)


def is_macro(statement) -> bool:
    """Whether a statement is `name = value`, without a dot."""
    return is_binding(statement) and not statement.arg_name


def macro_name(statement) -> str:
    """The name that `name = value` sets, with its scope, where it has one."""
    return f"{statement.scope}/{statement.selector}" if statement.scope else statement.selector


def gin_files(directory: str) -> list:
    """All gin files below a folder, as sorted relative paths."""
    found = []
    for folder, _, files in os.walk(directory):
        found += [os.path.join(folder, name) for name in files if name.endswith(".gin")]
    return sorted(os.path.relpath(path, directory).replace(os.sep, "/") for path in found)


def declared_slots(directory: str) -> dict:
    """The macros that our gin files may set: those of defaults.gin, then those of sizes/tiny.gin.

    Returns:
        {name: value in those files}, in their order.
    """
    files = (os.path.join(directory, name) for name in ("defaults.gin", "sizes/tiny.gin"))
    return {name: value for path in files for name, value in macros_set(path).items()}
