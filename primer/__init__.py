"""Primer: language-model architecture experiments on the T5 / Mesh-TensorFlow stack.

Importing this package imports no TensorFlow; calling `primer.load` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    import os

    from primer.model import Model


def load(
    model_dir: str | os.PathLike, checkpoint: str | int = "latest", batch_size: int | None = None
) -> Model:
    """Opens a trained model to score and generate text in Python; see `primer.model.Model`."""
    from primer import model

    return model.Model(model_dir, checkpoint=checkpoint, batch_size=batch_size)
