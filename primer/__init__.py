"""Primer: language-model architecture experiments on the T5 / Mesh-TensorFlow stack.

Importing this package imports no TensorFlow; `primer.load` does when it is called.
"""

__version__ = "0.1.0"

__all__ = ["__version__", "load"]


def load(model_dir, checkpoint="latest", batch_size=None):
    """Opens a trained model to score and write text in Python; see `primer.model.Model`."""
    from primer import model

    return model.Model(model_dir, checkpoint=checkpoint, batch_size=batch_size)
