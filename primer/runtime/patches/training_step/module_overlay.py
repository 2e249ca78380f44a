"""A module in which some functions are replaced, for a module that imports it under a name."""

import types
from collections.abc import Callable
from typing import Any


def overlay(module: types.ModuleType, **functions: Callable) -> types.ModuleType:
    """Returns a module that has everything of another, but for these functions."""

    class Overlay(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            return getattr(module, name)

    made = Overlay(module.__name__)
    vars(made).update(functions)
    return made
