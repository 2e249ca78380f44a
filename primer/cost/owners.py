"""Which layer of a stack a variable or an operation belongs to, by the scopes of its name."""

from collections.abc import Collection
from typing import Any


def layers_by_name(model: Any) -> dict[str, Any]:
    """Returns {name below the model's, such as "block_000/layer_001": layer}, in the stack's order.

    Args:
        model: a Mesh-TF Unitransformer.
    """
    return {layer.name: layer for layer in model.layer_stack._layers}


def without_model(name: str) -> str:
    """Returns the name of a variable or an operation without its first scope, the model's."""
    return name.split("/", 1)[-1]


def owner(name: str, layers: Collection[str]) -> str | None:
    """Returns the name of the layer that a variable or an operation belongs to, or None.

    Args:
        name: its name `without_model`.
        layers: the names of the layers.
    """
    parts = name.split("/")
    prefixes = ("/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
    return next((prefix for prefix in prefixes if prefix in layers), None)
