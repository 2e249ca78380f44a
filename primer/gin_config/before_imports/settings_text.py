"""The settings of a command, read from the text of its gin files and bindings."""

import dataclasses
import importlib.machinery
import os
import tokenize
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from primer.common import user_paths
from primer.errors import UsageError
from primer.gin_config import config_files, gin_errors, statements
from primer.gin_config.before_imports import engine_arguments
from primer.gin_config.statements import Macro, Reference, Statement

# A value that the text does not show: a call, or a setting of a file that cannot be read here.
UNKNOWN = object()


@dataclasses.dataclass
class Settings:
    """The bindings of a command in the order in which gin reads them.

    Attributes:
        values: {(configurable, parameter): value} without scopes, the last binding of each. A
            configurable is the last part of its name: "run" for `utils.run`.
        macros: {name: value}.
        referred_to: the names of the macros that values refer to.
        is_complete: whether every file could be read, and none imports a module of the user.
    """

    values: dict[tuple[str, str], Any] = dataclasses.field(default_factory=dict)
    macros: dict[str, Any] = dataclasses.field(default_factory=dict)
    referred_to: set[str] = dataclasses.field(default_factory=set)
    is_complete: bool = True

    def value(self, setting: str, default: Any = None) -> Any:
        """Returns the value of a setting, UNKNOWN where a call decides it.

        Args:
            setting: its name as users write it, as in "utils.run.mode".
            default: the result without a binding.
        """
        configurable, _, parameter = setting.rpartition(".")
        value = self.values.get((configurable.rpartition(".")[2], parameter), default)
        for _ in self.macros:
            if not isinstance(value, Macro):
                break
            value = self.macros.get(value.name, UNKNOWN)
        return UNKNOWN if _has_reference(value) else value

    def function(self, setting: str) -> str | None:
        """Returns the name of the function that a setting refers to (`@name`), or None."""
        configurable, _, parameter = setting.rpartition(".")
        value = self.values.get((configurable.rpartition(".")[2], parameter))
        return value.name.rpartition(".")[2] if isinstance(value, Reference) else None


def read(arguments: engine_arguments.EngineArguments) -> Settings:
    """Reads the gin files and bindings of a command.

    Raises:
        UsageError: a file that is nowhere, or text that is not gin.
    """
    reader = _Reader(arguments)
    reader.settings.referred_to |= _macros_of_mesh_tensorflow()
    for name in arguments.gin_files:
        reader.read_file(name, f"--gin_file {name}")
    for text in arguments.gin_params:
        reader.read_all(_parsed(f"--gin_param {text.strip()!r}", statements.parse_text, text))
    return reader.settings


class _Reader:
    """Follows gin's reading of files: their statements in order, includes where they stand."""

    def __init__(self, arguments: engine_arguments.EngineArguments) -> None:
        self.settings = Settings()
        self._arguments = arguments
        self._folders = list(_folders(arguments))
        self._open: list[str] = []

    def read_file(self, name: str, mention: str) -> None:
        """Reads a file; `mention` begins the message if it is nowhere."""
        path = self._find(name, mention)
        if path is None or path in self._open:
            self.settings.is_complete = False
            return
        self._open.append(path)
        self.read_all(_parsed(path, statements.parse_file, path))
        self._open.pop()

    def read_all(self, found: Iterable[Statement]) -> None:
        """Records bindings, and reads included files."""
        for statement in found:
            if statements.is_include(statement):
                self.read_file(statement.filename, f"include {statement.filename!r}")
            elif statements.is_import(statement):
                own = engine_arguments.is_own(statement.module)
                self.settings.is_complete = self.settings.is_complete and own
            elif statements.is_binding(statement):
                self._record(statement)

    def _record(self, binding: Statement) -> None:
        self.settings.referred_to |= _macros_in(binding.value)
        if statements.is_macro(binding):
            self.settings.macros[statements.macro_name(binding)] = binding.value
        elif not binding.scope:
            configurable = binding.selector.rpartition(".")[2]
            self.settings.values[configurable, binding.arg_name] = binding.value

    def _find(self, name: str, mention: str) -> str | None:
        """Returns the path of a file; None where it may be one that only the run finds."""
        for folder in [""] if os.path.isabs(name) else self._folders:
            if os.path.isfile(os.path.join(folder, name)):
                return os.path.join(folder, name)
        is_known = not any(map(user_paths.is_remote, [name, *self._folders]))
        if is_known and self._arguments.has_own_modules_only and not _is_in_package(name):
            raise UsageError(f"{mention}: there is no such file; looked in {self._places()}")
        return None

    def _places(self) -> str:
        return ", ".join(folder or "this directory" for folder in self._folders)


def _parsed(origin: str, parse: Callable[[str], list[Statement]], text: str) -> list[Statement]:
    """Calls a parser; its errors become a UsageError that begins with the origin of the text."""
    try:
        return parse(text)
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        raise UsageError(f"{origin}: {gin_errors.as_usage_error(error)}") from error


def _folders(arguments: engine_arguments.EngineArguments) -> Iterator[str]:
    """Yields the folders in which gin is going to look, as the run adds them."""
    yield ""
    if "t5_imports" in arguments.modules:
        yield config_files.gin_directory()
    # Not importlib.util.find_spec: the import hook would prepare t5 as for an import of it.
    package = importlib.machinery.PathFinder.find_spec("t5")
    for folder in package.submodule_search_locations or () if package else ():
        yield os.path.join(folder, "models", "gin")
    yield from arguments.folders


def _macros_of_mesh_tensorflow() -> set[str]:
    """Returns the macros that Mesh-TensorFlow's defaults refer to, which every run reads first."""
    package = importlib.machinery.PathFinder.find_spec("mesh_tensorflow")
    for folder in package.submodule_search_locations or () if package else ():
        path = os.path.join(folder, "transformer", "gin", "defaults.gin")
        if os.path.isfile(path):
            bindings = filter(statements.is_binding, statements.parse_file(path))
            return set().union(*(_macros_in(binding.value) for binding in bindings))
    return set()


def _is_in_package(name: str) -> bool:
    """Whether gin may find a name as `package/file.gin` on Python's path."""
    package = os.path.dirname(name).split("/")[0]
    return bool(package) and importlib.machinery.PathFinder.find_spec(package) is not None


def _macros_in(value: Any) -> set[str]:
    """Returns the names of the macros that a value refers to."""
    if isinstance(value, Macro):
        return {value.name}
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple, set)):
        return set().union(*map(_macros_in, value))
    return set()


def _has_reference(value: Any) -> bool:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple, set)):
        return any(map(_has_reference, value))
    return isinstance(value, (Macro, Reference))
