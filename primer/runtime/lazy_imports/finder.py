"""Finds the modules that are to be executed when they are first used."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from primer.runtime.lazy_imports import lazy_module


class Finder:
    """Lets the other finders find a module of the names, and makes it a lazy one.

    Attributes:
        names: full names of modules.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the spec of a module of the names, or None for others.

        The package of another module is executed first, as a plain import of it would.
        """
        if name in self.names:
            return self._lazy_spec(name, path, target)
        lazy_module.execute_named(name.rpartition(".")[0])
        found = sys.modules.get(name)
        # The package has imported it: without this the import system would execute it again.
        if found is None:
            return None
        # Not a subclass of importlib.abc.Loader, whose import costs time.
        return ModuleSpec(name, _ExistingLoader(found))  # type: ignore[arg-type]

    def _lazy_spec(self, name, path, target):
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = lazy_module.LazyLoader(spec.loader)
                return spec
        return None


class _ExistingLoader:
    """Returns a module that was imported during the search for it.

    Until then the module is without its spec, by which the import system would execute it again.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self._spec = module.__spec__
        module.__spec__ = None

    def create_module(self, spec):
        return self._module

    def exec_module(self, module):
        module.__spec__ = self._spec


def install(names: frozenset[str]) -> None:
    """Puts a Finder first on `sys.meta_path`, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder(names))
