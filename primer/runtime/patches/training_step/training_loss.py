"""Mesh-TF 0.1.21: an optimizer cannot see the loss that its gradients are of.

Its model function passes an optimizer only gradients and weights. With the patch the loss, which
with microbatches is the sum over them, is recorded in the graph (`graph_marks.training_loss`) when
the model function asks for the gradients.
"""

import types
from typing import Any

from primer.common import graph_marks


def patch(utils: types.ModuleType) -> None:
    """Patches the name `mtf` of `mesh_tensorflow.transformer.utils`."""
    utils.mtf = _recording(utils.mtf)


def _recording(module: types.ModuleType) -> types.ModuleType:
    """Returns a module that has everything of another, and records the loss of gradients."""

    class Recording(types.ModuleType):
        @staticmethod
        def gradients(ys: list, xs: list, **kwargs: Any) -> list:
            if len(ys) == 1:
                graph_marks.set_training_loss(ys[0])
            return module.gradients(ys, xs, **kwargs)

        @staticmethod
        def serialize_training_step(*args: Any, **kwargs: Any) -> tuple[list, dict]:
            gradients, outputs = module.serialize_training_step(*args, **kwargs)
            graph_marks.set_training_loss(outputs["loss"])
            return gradients, outputs

        def __getattr__(self, name: str) -> Any:
            return getattr(module, name)

    return Recording(module.__name__)
