"""gin-config's private state behind typed functions; no other module of Primer touches it.

gin-config 0.5.0 has no public way to list its bindings, the calls that it has recorded, its
registry or its search path. tests/gin_config/test_gin_state.py pins what each private name means.
"""

import contextlib
import copy
import os
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import gin

MACRO = "gin.macro"

# What `gin.clear_config(clear_constants=False)` empties, besides the lock.
_CLEARED = ("_CONFIG", "_IMPORTS", "_SINGLETONS", "_OPERATIVE_CONFIG")

SavedState = tuple[dict[str, dict | set], bool]


def bindings() -> Mapping[tuple[str, str], dict[str, Any]]:
    """Returns a live view of all bindings: {(scope, selector): {parameter: value}}.

    A macro `name = value` is under `(name, MACRO)`, parameter "value".
    """
    return MappingProxyType(gin.config._CONFIG)


def bindings_of(scope: str, selector: str) -> dict[str, Any]:
    """Returns {parameter: value} of a configurable in exactly this scope; empty without any."""
    return gin.config._CONFIG.get((scope, selector), {})


def recorded_calls() -> Mapping[tuple[str, str], dict[str, Any]]:
    """Returns a live view of the calls since the configuration was cleared.

    Returns:
        {(scope, selector): {parameter: value}} with the parameters that gin supplied or that kept
        their default; a parameter that the caller passed is absent.
    """
    return MappingProxyType(gin.config._OPERATIVE_CONFIG)


def value_of_macro(name: str) -> Any:
    """Returns what `%name` stands for, with the references in it called, as gin does.

    Gin's own record of calls is left as it was.

    Args:
        name: the name of a macro that has a value.
    """
    with recorded_calls_restored():
        return copy.deepcopy(bindings_of(name, MACRO)["value"])


def macros_referred_to() -> set[str]:
    """Returns the names of the macros that any binding refers to."""
    references = gin.config.iterate_references(gin.config._CONFIG)
    return {"/".join(r.scopes) for r in references if r.configurable.selector == MACRO}


def configurable_names() -> set[str]:
    """Returns the names of all configurables as users write them, without their modules."""
    found = gin.config._INVERSE_REGISTRY.values()
    return {configurable.selector.rpartition(".")[2] for configurable in found}


def registered_functions() -> list[Callable]:
    """Returns the functions and classes of all configurables, without gin's wrappers."""
    return list(gin.config._INVERSE_REGISTRY)


def configurable_named(selector: str) -> gin.config.Configurable | None:
    """Returns the configurable of a complete selector, or None."""
    return gin.config._REGISTRY.get(selector)


def configurable_of(function: Callable) -> gin.config.Configurable | None:
    """Returns the configurable of a function or class, with gin's wrapper or without, or None."""
    return gin.config._inverse_lookup(function, allow_decorators=True)


def search_path() -> list[str]:
    """Returns a copy of the folders in which gin looks for a relative file name, in order."""
    return list(gin.config._LOCATION_PREFIXES)


def find_file(name: str) -> tuple[str, Callable[[str], Any]]:
    """Finds a gin file as `gin.parse_config_file` does.

    Args:
        name: absolute, or relative to a folder of the search path.

    Returns:
        (path, the function that opens it: a registered file reader such as `open`).

    Raises:
        FileNotFoundError: no folder of the search path has the file.
    """
    folders = [""] if os.path.isabs(name) else search_path()
    for folder in folders:
        path = os.path.join(folder, name)
        for reader, exists in gin.config._FILE_READERS:
            if exists(path):
                return path, reader
    raise FileNotFoundError(f"{name}: there is no such file; looked in {folders}")


def save() -> SavedState:
    """Returns a copy of bindings, imports, singletons and recorded calls, and the lock."""
    copies = {name: getattr(gin.config, name).copy() for name in _CLEARED}
    return copies, gin.config_is_locked()


def restore(saved: SavedState) -> None:
    """Replaces gin's state by one that `save` returned; constants stay as they are."""
    copies, locked = saved
    gin.clear_config(clear_constants=False)
    for name, copied in copies.items():
        getattr(gin.config, name).clear()
        getattr(gin.config, name).update(copied)
    if locked:
        gin.config._set_config_is_locked(True)


@contextlib.contextmanager
def parameter_bound(selector: str, parameter: str, value: Any) -> Iterator[None]:
    """Binds a parameter inside the block, although the configuration may be locked.

    Args:
        selector: complete, as in "mesh_tensorflow.transformer.utils.run".
        parameter: its name.
        value: what a call of the configurable gets.
    """
    bound = gin.config._CONFIG.setdefault(("", selector), {})
    before = dict(bound)
    bound[parameter] = value
    try:
        yield
    finally:
        bound.clear()
        bound.update(before)


@contextlib.contextmanager
def parameters_bound(values: Mapping[tuple[str, str], Any]) -> Iterator[None]:
    """Binds several parameters inside the block.

    Args:
        values: {(selector, parameter): value}, as for `parameter_bound`.
    """
    with contextlib.ExitStack() as stack:
        for (selector, parameter), value in values.items():
            stack.enter_context(parameter_bound(selector, parameter, value))
        yield


@contextlib.contextmanager
def calls_recorded() -> Iterator[dict[tuple[str, str], dict[str, Any]]]:
    """Yields a dict that holds, when the block has ended, the calls that gin recorded inside it.

    The dict has the form of `recorded_calls`, which afterwards has the earlier calls as well.
    """
    record = gin.config._OPERATIVE_CONFIG
    during: dict[tuple[str, str], dict[str, Any]] = {}
    before = {key: dict(parameters) for key, parameters in record.items()}
    record.clear()
    try:
        yield during
    finally:
        during.update({key: dict(parameters) for key, parameters in record.items()})
        for key, parameters in before.items():
            record[key] = {**parameters, **during.get(key, {})}


@contextlib.contextmanager
def recorded_calls_restored() -> Iterator[None]:
    """Restores the recorded calls (gin's operative configuration) after the block."""
    record = gin.config._OPERATIVE_CONFIG
    before = {key: dict(parameters) for key, parameters in record.items()}
    try:
        yield
    finally:
        record.clear()
        record.update(before)


@contextlib.contextmanager
def calls_recorded_apart() -> Iterator[Mapping[tuple[str, str], dict[str, Any]]]:
    """Yields a live record, as of `recorded_calls`, of the calls inside the block alone.

    After the block gin's record is what it was before, without these calls.
    """
    with recorded_calls_restored():
        gin.config._OPERATIVE_CONFIG.clear()
        yield recorded_calls()
