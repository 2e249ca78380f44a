"""Primer: language-model architecture experiments on the T5 / Mesh-TensorFlow stack.

Importing this package imports no TensorFlow; calling `primer.load` does.
"""

__version__ = "0.1.0"

__all__ = ["__version__", "load"]

# Every start of an interpreter imports this module (`primer.runtime.import_hook`), and `typing`
# would cost it milliseconds; type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from primer.model import Model


def load(
    model_dir: "str | os.PathLike",
    checkpoint: str | int = "latest",
    batch_size: int | None = None,
    trust: "Sequence[str]" = (),
) -> "Model":
    """Opens a trained model to score and generate text in Python; see `primer.model.Model`."""
    from primer import model

    return model.Model(model_dir, checkpoint=checkpoint, batch_size=batch_size, trust=trust)
