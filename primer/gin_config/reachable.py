"""Which bindings a run reads in code that a check does not run, because it has no data.

Starts from what `utils.run` is given (data sets, trainers, a vocabulary), from the engine's own
settings and from a task, and follows what code names: globals, attributes of modules, closures,
defaults, gin's references. That finds too much rather than too little, so that a binding is not
called dead where this is in doubt. What was called is left to what gin noted of it.
"""

import functools
import inspect
import sys
import types

import gin
from mesh_tensorflow.transformer import utils

from primer.gin_config import gin_state
from primer.gin_config.dead_bindings import RUN, prefixes
from primer.gin_config.gin_state import MACRO

# Both are built by a check; other modes call code that no graph of a check calls.
BUILT_MODES = ("train", "perplexity_eval")
LEADS_NOWHERE = {"gin", "tensorflow", "numpy", *sys.stdlib_module_names}


def reachable_keys(called, mode="train", data=(), entry_points=()) -> set:
    """The keys of the bindings that code of a run reads which was not called.

    Args:
        called: the selectors of the configurables that were called.
        mode: that of the run, `utils.run.mode`.
        data: what reads the data (a seqio task), besides the functions that gin names.
        entry_points: configurables that a run calls itself, without a binding that names them.

    Returns:
        A set of (scope, selector, parameter).
    """
    walk = _Walk(called, data)
    for value in gin_state.bindings_of("", RUN).values():
        walk.visit(value)
    for function in (*entry_points, *data):
        walk.visit(function)
    if mode not in BUILT_MODES:
        walk.through_called = True
        walk.code(inspect.unwrap(utils.run))
    return walk.keys


class _Walk:
    """Follows names from one object to the next, each once in each scope."""

    def __init__(self, called, data=()):
        self.keys = set()
        self.through_called = False  # Whether to follow the code of what was called, too.
        self._called = called
        self._seen = {}  # (id, scope) -> object, kept so that no id is used twice.
        # The packages with configurables, and those that the data are made of, lead to bindings.
        makers = [type(thing) for thing in data] + [f for thing in data for f in _functions(thing)]
        makers += gin_state.registered_functions()
        self._packages = {_package(thing) for thing in makers} - LEADS_NOWHERE

    def visit(self, thing, scope=""):
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

    def code(self, function, scope=""):
        """Follows the names in a function's code."""
        names = _names(function.__code__)
        modules, found = [], []
        for name in names:
            value = function.__globals__.get(name, sys.modules.get(name))
            (modules if isinstance(value, types.ModuleType) else found).append(value)
        for module in modules:  # Grows: a.b.c is an attribute of an attribute.
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

    def _each(self, things, scope):
        for thing in things:
            self.visit(thing, scope)

    def _reference(self, reference, scope):
        scopes = "/".join(reference.scopes)
        configurable = reference.configurable
        if configurable.selector == MACRO:
            self.keys.add((scopes, MACRO, "value"))
            self.visit(gin_state.bindings_of(scopes, MACRO).get("value"), scope)
        else:
            self._configurable(configurable, scopes or scope)

    def _definition(self, thing, scope):
        """A function or a class, with gin's wrapper around it or without."""
        configurable = gin_state.configurable_of(thing)
        if configurable is not None:
            self._configurable(configurable, scope)
        elif _package(thing) in self._packages:
            self._body(thing, scope)
        elif isinstance(thing, types.FunctionType):
            # A decorator of another package around a function of one that we know.
            self._each(_cells(thing), scope)

    def _configurable(self, configurable, scope):
        if configurable.selector not in self._called:
            self._bindings(configurable.selector, scope)
        elif not self.through_called:
            return
        self._body(configurable.wrapped, scope)

    def _bindings(self, selector, scope):
        """Those in force in a scope: the longest prefix of it that binds a parameter wins."""
        read = {}
        for prefix in prefixes(scope):
            for parameter, value in gin_state.bindings_of(prefix, selector).items():
                read[parameter] = (prefix, value)
        for parameter, (prefix, value) in read.items():
            self.keys.add((prefix, selector, parameter))
            self.visit(value, scope)

    def _body(self, thing, scope):
        if isinstance(thing, type):
            for member in vars(thing).values():
                function = inspect.unwrap(_function_of(member)) if _function_of(member) else None
                if isinstance(function, types.FunctionType):
                    self._definition(function, scope)
        elif isinstance(thing, types.FunctionType):
            self.code(thing, scope)
            if hasattr(thing, "__wrapped__"):
                self.visit(thing.__wrapped__, scope)

    def _object(self, thing, scope):
        for cls in type(thing).__mro__:
            if _package(cls) in self._packages:
                self._body(cls, scope)
        self._each(list(getattr(thing, "__dict__", {}).values()), scope)


def _functions(thing):
    """The functions and the classes of the objects that an object holds: a task's preprocessors."""
    for value in getattr(thing, "__dict__", {}).values():
        for part in value if isinstance(value, (list, tuple)) else [value]:
            part = part.func if isinstance(part, functools.partial) else part
            yield part if isinstance(part, (types.FunctionType, type)) else type(part)


def _function_of(member):
    """The function of a method, static method, class method or property; None for data."""
    member = getattr(member, "__func__", member)
    member = getattr(member, "fget", member)
    return member if isinstance(member, types.FunctionType) else None


def _names(code) -> list:
    """The names that code looks up, and those of the functions defined in it."""
    found = list(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found += _names(constant)
    return list(dict.fromkeys(found))


def _cells(function):
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # Not yet filled.
            continue


def _package(thing):
    return _root(getattr(thing, "__module__", None) or "")


def _root(name):
    return name.split(".")[0]
