"""Mesh-TF 0.1.21: an optimizer cannot see the loss that its gradients are of.

Its model function passes an optimizer only gradients and weights. With the patch the loss, which
with microbatches is the sum over them, is recorded in the graph (`graph_marks.training_loss`) when
the model function asks for the gradients.
"""

import types
from collections.abc import Callable
from typing import Any

from primer.common import graph_marks


def patch(utils: types.ModuleType) -> None:
    """Patches the name `mtf` of `mesh_tensorflow.transformer.utils`."""
    module = utils.mtf

    def gradients(ys: list, xs: list, **kwargs: Any) -> list:
        if len(ys) == 1:
            graph_marks.set_training_loss(ys[0])
        return module.gradients(ys, xs, **kwargs)

    def serialize_training_step(*args: Any, **kwargs: Any) -> tuple[list, dict]:
        found, outputs = module.serialize_training_step(*args, **kwargs)
        graph_marks.set_training_loss(outputs["loss"])
        return found, outputs

    utils.mtf = overlay(
        module, gradients=gradients, serialize_training_step=serialize_training_step
    )


def overlay(module: types.ModuleType, **functions: Callable) -> types.ModuleType:
    """Returns a module that has everything of another, but for these functions."""

    class Overlay(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            return getattr(module, name)

    made = Overlay(module.__name__)
    vars(made).update(functions)
    return made
