"""Folders of Hugging Face models with the weights of the golden files."""

import ast
import json

import numpy as np
from safetensors.numpy import save_file

from tests.paths import PARITY

FAMILIES = ("gemma2", "gpt2", "gpt_neo", "gpt_neox", "llama", "qwen3")


def arrays(family):
    """Returns the golden file of a family as {name: array}."""
    with np.load(PARITY / f"{family}.npz") as found:
        return dict(found)


def config_of(golden, family):
    """Returns the arguments of the configuration's constructor, with the family's name."""
    return {**ast.literal_eval(str(golden["config"])), "model_type": family}


def state_of(golden):
    """Returns {name: array} of PyTorch's state."""
    found = {name[6:]: array for name, array in golden.items() if name.startswith("state/")}
    return {name: np.ascontiguousarray(array) for name, array in found.items()}


def write(folder, family):
    """Writes the folder of a family, and returns (its configuration, its state)."""
    golden = arrays(family)
    config, state = config_of(golden, family), state_of(golden)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(state, folder / "model.safetensors")
    return config, state
