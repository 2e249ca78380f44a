"""The folder of a PyTorch export: the file, the weights under its names, and config.json."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from primer.common import files
from primer.convert import safe_tensors
from primer.convert.pytorch import model_file

FILE = "modeling_primer.py"
_CLASS = "PrimerForCausalLM"


def write(
    folder: str,
    description: Mapping[str, Any],
    variables: Mapping[str, np.ndarray],
    special: Mapping[str, Any],
    multiplier: float | None,
) -> dict[str, list[str]]:
    """Writes a model.

    Args:
        folder: an existing folder.
        description: as for `model_file.write`.
        variables: {variable: array}, float32.
        special: what configurations have of the ids, {"bos_token_id": id, ...}.
        multiplier: the value of TokenEmbedding.width_multiplier.

    Returns:
        {parameter of the file: the variables that it has}.

    Raises:
        UsageError: the model has something that the file cannot have; nothing is written.
    """
    shapes = {name: list(array.shape) for name, array in variables.items()}
    made = model_file.write(description, shapes, multiplier)
    with open(os.path.join(folder, FILE), "w", encoding="utf-8") as file:
        file.write(made.source)
    state = {}
    for name, weight in made.weights.items():
        arrays = [np.asarray(variables[source], np.float32) for source in weight.sources]
        array = np.stack(arrays) if name.endswith(".taps") else arrays[0]
        state[name] = array if weight.shape is None else array.reshape(weight.shape)
    safe_tensors.write(folder, state)
    files.write_json(os.path.join(folder, "config.json"), _config(description, made, special))
    generation = {**special, "use_cache": False}
    files.write_json(os.path.join(folder, "generation_config.json"), generation)
    return {name: list(weight.sources) for name, weight in made.weights.items()}


def _config(
    description: Mapping[str, Any], made: model_file.ModelFile, special: Mapping[str, Any]
) -> dict[str, Any]:
    module = FILE.removesuffix(".py")
    return {
        "architectures": [_CLASS],
        "model_type": "primer",
        "auto_map": {
            "AutoConfig": f"{module}.PrimerConfig",
            "AutoModelForCausalLM": f"{module}.{_CLASS}",
        },
        "dtype": "float32",
        "vocab_size": made.rows,
        "hidden_size": description["wiring"]["d_model"],
        "num_hidden_layers": made.num_layers,
        "use_cache": False,
        **special,
    }
