"""Suppresses the line that Mesh-TF 0.1.21 prints at every step of training.

Its model function wraps the loss in `tf.Print`, which writes to standard error. The progress line
of `primer.runtime.training.progress` shows the loss instead.
"""

import types
from typing import Any

import tensorflow.compat.v1 as tf


def patch(utils: types.ModuleType) -> None:
    """Patches the name `tf` of `mesh_tensorflow.transformer.utils`."""
    utils.tf = _without_print(utils.tf)


def _without_print(module: types.ModuleType) -> types.ModuleType:
    """Returns a module that has everything of another, and a `Print` without effect."""

    class WithoutPrint(types.ModuleType):
        @staticmethod
        def Print(value: Any, *args: Any, **kwargs: Any) -> Any:
            del args, kwargs
            return value

        def __getattr__(self, name: str) -> Any:
            return getattr(module, name)

    return WithoutPrint(tf.__name__)
