"""A module that is found at once, and executed when an attribute of it is first used.

Unlike those of `importlib.util.LazyLoader` it may be imported again without being executed (the
import system reads its `__spec__` then), and it may be a package: `finder` executes it before it
searches one of its submodules.
"""

import sys
import threading
from types import ModuleType
from typing import Any

# What the import system reads of a module that is in sys.modules already.
_OF_IMPORTS = frozenset(
    ("__class__", "__spec__", "__path__", "__name__", "__loader__", "__package__", "__file__")
)
# One lock for all: with one each, two threads could wait for each other.
_lock = threading.RLock()


class LazyModule(ModuleType):
    """A module that is executed as soon as any attribute of it is read, set or deleted."""

    def __getattribute__(self, name: str) -> Any:
        """Returns an attribute, of the executed module unless the import system needs it."""
        if name not in _OF_IMPORTS:
            execute(self)
        return ModuleType.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute of the executed module; a lazy submodule without executing it."""
        if name not in _OF_IMPORTS and type(value) is not LazyModule:
            execute(self)
        ModuleType.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        """Deletes an attribute of the executed module."""
        execute(self)
        ModuleType.__delattr__(self, name)


class LazyLoader:
    """Leaves a module unexecuted; the module's own loader executes it later.

    Attributes:
        own: the module's own loader.
        is_executing: whether it is at work.
    """

    def __init__(self, own: Any) -> None:
        self.own = own
        self.is_executing = False

    def __getattr__(self, name: str) -> Any:
        # get_source, get_data, resource readers: all other methods of the module's own loader.
        return getattr(self.own, name)

    def create_module(self, spec: Any) -> Any:
        """Returns the module that the own loader makes; None for a plain one."""
        return self.own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Makes the module a lazy one."""
        module.__class__ = LazyModule


def execute(module: ModuleType) -> None:
    """Executes a lazy module and the packages that it is in, once; others stay as they are.

    Raises:
        Exception: whatever the execution raises; the next use tries again.
    """
    with _lock:
        loader: Any = module.__loader__ if type(module) is LazyModule else None
        if loader is None or loader.is_executing:
            return  # In the latter case the module's own code, or what it imports, uses it.
        execute_named(module.__name__.rpartition(".")[0])
        if type(module) is not LazyModule:
            return  # The package has executed it.
        loader.is_executing = True
        try:
            loader.own.exec_module(module)
        finally:
            loader.is_executing = False
        module.__loader__ = loader.own
        if module.__spec__ is not None:
            module.__spec__.loader = loader.own
        module.__class__ = ModuleType  # type: ignore[assignment]


def execute_named(name: str) -> None:
    """Executes the module of a name if it is a lazy one in sys.modules."""
    module = sys.modules.get(name)
    if type(module) is LazyModule:
        execute(module)
