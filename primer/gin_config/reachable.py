"""The bindings that a run reads in code that `primer check` does not run, because it has no data.

Starts from the bindings of `utils.run` (data sets, trainers, a vocabulary), the engine's own
settings and the tasks, and follows every name in code: globals, attributes of modules, closures,
defaults, gin's references. The result may have too many bindings, never too few, so that no binding
is called dead in doubt. Configurables that were called are left to gin's record of the calls.
"""

import functools
import inspect
import sys
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import gin
from mesh_tensorflow.transformer import utils

from primer.gin_config import gin_state
from primer.gin_config.dead_bindings import RUN, prefixes
from primer.gin_config.gin_state import MACRO
from primer.gin_config.provenance import Key

# `primer check` builds these; other modes call code that no graph of it calls.
BUILT_MODES = ("train", "perplexity_eval")
# Packages whose code binds no parameter of a run.
LEADS_NOWHERE = {"gin", "tensorflow", "numpy", *sys.stdlib_module_names}


def reachable_keys(
    called: Collection[str],
    mode: str = "train",
    tasks: Sequence[Any] = (),
    entry_points: Sequence[Callable] = (),
) -> set[Key]:
    """Returns the keys of the bindings that a run reads in code that was not called.

    Args:
        called: the selectors of the configurables that were called.
        mode: the value of `utils.run.mode`.
        tasks: seqio tasks: their code reads data, besides the functions that gin names.
        entry_points: configurables that a run calls without a binding that names them.
    """
    walk = _Walk(called, tasks)
    for value in gin_state.bindings_of("", RUN).values():
        walk.visit(value)
    for function in (*entry_points, *tasks):
        walk.visit(function)
    if mode not in BUILT_MODES:
        walk.through_called = True
        walk.follow_code(inspect.unwrap(utils.run))
    return walk.keys


class _Walk:
    """Follows names from one object to the next, each object once in each scope."""

    def __init__(self, called: Collection[str], tasks: Sequence[Any] = ()) -> None:
        self.keys: set[Key] = set()
        self.through_called = False  # Whether to follow the code of called configurables, too.
        self._called = called
        # (id, scope) -> object: a reference, so that no id is reused.
        self._seen: dict[tuple[int, str], Any] = {}
        # Only the packages of configurables, and of the tasks and their functions, are followed.
        makers = [type(task) for task in tasks] + [f for task in tasks for f in _functions(task)]
        makers += gin_state.registered_functions()
        self._packages = {_package(maker) for maker in makers} - LEADS_NOWHERE

    def visit(self, thing: Any, scope: str = "") -> None:
        """Follows a bound value, a function, a class or an object."""
        if isinstance(thing, (str, bytes, int, float, type(None), types.ModuleType)):
            return
        if (id(thing), scope) in self._seen:
            return
        self._seen[id(thing), scope] = thing
        if isinstance(thing, gin.config.ConfigurableReference):
            self._reference(thing, scope)
        elif isinstance(thing, dict):
            self._each([*thing, *thing.values()], scope)
        elif isinstance(thing, (list, tuple, set, frozenset)):
            self._each(thing, scope)
        elif isinstance(thing, functools.partial):
            self._each([thing.func, thing.args, thing.keywords], scope)
        elif isinstance(thing, types.MethodType):
            self._each([thing.__func__, thing.__self__], scope)
        elif isinstance(thing, type) or isinstance(thing, types.FunctionType):
            self._definition(thing, scope)
        elif _package(type(thing)) in self._packages:
            self._object(thing, scope)

    def follow_code(self, function: types.FunctionType, scope: str = "") -> None:
        """Follows the names in a function's code, its closure and its defaults."""
        names = _names(function.__code__)
        modules: list[types.ModuleType] = []
        found: list[Any] = []
        for name in names:
            value = function.__globals__.get(name, sys.modules.get(name))
            if isinstance(value, types.ModuleType):
                modules.append(value)
            else:
                found.append(value)
        for module in modules:  # The loop appends: a.b.c is an attribute of an attribute.
            if _root(module.__name__) not in self._packages:
                continue
            for value in (vars(module).get(name) for name in names):
                if not isinstance(value, types.ModuleType):
                    found.append(value)
                elif value not in modules:
                    modules.append(value)
        self._each(found, scope)
        self._each(_cells(function), scope)
        self._each([function.__defaults__, function.__kwdefaults__], scope)

    def _each(self, things: Iterable[Any], scope: str) -> None:
        for thing in things:
            self.visit(thing, scope)

    def _reference(self, reference: gin.config.ConfigurableReference, scope: str) -> None:
        scopes = "/".join(reference.scopes)
        configurable = reference.configurable
        if configurable.selector == MACRO:
            self.keys.add((scopes, MACRO, "value"))
            self.visit(gin_state.bindings_of(scopes, MACRO).get("value"), scope)
        else:
            self._configurable(configurable, scopes or scope)

    def _definition(self, thing: Any, scope: str) -> None:
        """Follows a function or a class, with gin's wrapper around it or without."""
        configurable = gin_state.configurable_of(thing)
        if configurable is not None:
            self._configurable(configurable, scope)
        elif _package(thing) in self._packages:
            self._body(thing, scope)
        elif isinstance(thing, types.FunctionType):
            # A decorator of another package may hold a function of a followed one.
            self._each(_cells(thing), scope)

    def _configurable(self, configurable: gin.config.Configurable, scope: str) -> None:
        if configurable.selector not in self._called:
            self._bindings(configurable.selector, scope)
        elif not self.through_called:
            return
        self._body(configurable.wrapped, scope)

    def _bindings(self, selector: str, scope: str) -> None:
        """Adds the bindings in force in a scope: its longest prefix that binds a parameter wins."""
        read = {}
        for prefix in prefixes(scope):
            for parameter, value in gin_state.bindings_of(prefix, selector).items():
                read[parameter] = (prefix, value)
        for parameter, (prefix, value) in read.items():
            self.keys.add((prefix, selector, parameter))
            self.visit(value, scope)

    def _body(self, thing: Any, scope: str) -> None:
        if isinstance(thing, type):
            for member in vars(thing).values():
                function = _function_of(member)
                function = inspect.unwrap(function) if function else None
                if isinstance(function, types.FunctionType):
                    self._definition(function, scope)
        elif isinstance(thing, types.FunctionType):
            self.follow_code(thing, scope)
            if hasattr(thing, "__wrapped__"):
                self.visit(thing.__wrapped__, scope)

    def _object(self, thing: Any, scope: str) -> None:
        for cls in type(thing).__mro__:
            if _package(cls) in self._packages:
                self._body(cls, scope)
        self._each(list(getattr(thing, "__dict__", {}).values()), scope)


def _functions(thing: Any) -> Iterator[Any]:
    """Yields the functions, and the classes of the objects, that an object's attributes hold."""
    for value in getattr(thing, "__dict__", {}).values():
        for part in value if isinstance(value, (list, tuple)) else [value]:
            part = part.func if isinstance(part, functools.partial) else part
            yield part if isinstance(part, (types.FunctionType, type)) else type(part)


def _function_of(member: Any) -> types.FunctionType | None:
    """Returns the function of a method, static method, class method or property, else None."""
    member = getattr(member, "__func__", member)
    member = getattr(member, "fget", member)
    return member if isinstance(member, types.FunctionType) else None


def _names(code: types.CodeType) -> list[str]:
    """Returns the names that code looks up, and those of the functions defined in it."""
    found = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found += _names(constant)
    return list(dict.fromkeys(found))


def _cells(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # A cell that is not yet filled.
            continue


def _package(thing: Any) -> str:
    return _root(getattr(thing, "__module__", None) or "")


def _root(name: str) -> str:
    return name.split(".")[0]
