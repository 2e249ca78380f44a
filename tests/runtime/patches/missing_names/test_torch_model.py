"""t5's PyTorch model without PyTorch."""

import types

import pytest

from primer.runtime.patches.missing_names import torch_model


def test_only_the_use_of_the_class_is_an_error():
    module = types.ModuleType("hf_model")
    torch_model.patch(module)
    with pytest.raises(ImportError, match="pip install torch"):
        module.HfPyTorchModel("t5-small")
