"""t5 0.9.4 imports its PyTorch model always, though it does not require PyTorch.

`import t5.models` fails without torch. The patch fills a module that takes the place of
`t5.models.hf_model`; only the use of its class is an error.
"""

from types import ModuleType


class HfPyTorchModel:
    """Raises ImportError when it is made."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        del args, kwargs
        raise ImportError("t5.models.HfPyTorchModel needs PyTorch: pip install torch")


def patch(hf_model: ModuleType) -> None:
    """Fills the empty module `t5.models.hf_model`."""
    hf_model.HfPyTorchModel = HfPyTorchModel
