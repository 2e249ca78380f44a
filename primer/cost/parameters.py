"""The parameters of a model, counted on its graph.

- total: all trainable variables.
- without_embedding: without the tables of which a token only looks up rows, and without the
  output's: those with a dimension of the vocabulary (of tokens, of an untied output, of value
  embeddings), and tables of positions outside the layers.
- active: without_embedding, with the chosen experts' share of the experts' parameters in place of
  all experts (`experts.share_used`). It is the N of 6N.
- padding: the part of total that only pads the vocabulary to its multiple of 128.
- frozen: the part of total that training leaves as it is: weights whose attribute `is_frozen` is
  true.
- active_frozen: the part of active that is frozen.
- trained: total without frozen.
"""

import dataclasses
from typing import Any

import mesh_tensorflow as mtf

from primer.common.sharding import stored_weights
from primer.cost import experts, owners


@dataclasses.dataclass(frozen=True)
class Parameters:
    """Numbers of parameters; the module says what each one counts."""

    total: int
    without_embedding: int
    active: int
    padding: int
    frozen: int = 0
    active_frozen: int = 0

    @property
    def trained(self) -> int:
        """The number of parameters that training changes."""
        return self.total - self.frozen


def count(model: Any, graph: mtf.Graph) -> Parameters:
    """Counts the parameters of a model.

    Args:
        model: a Mesh-TF Unitransformer.
        graph: the graph of its forward pass.
    """
    layers = owners.layers_by_name(model)
    total = padding = without_embedding = frozen = 0
    active = active_frozen = 0.0
    for variable in graph.trainable_variables:
        owner = owners.owner(owners.without_model(variable.name), layers)
        total += variable.shape.size
        frozen += variable.shape.size if is_frozen(variable) else 0
        padding += variable.shape.size - round(variable.shape.size * used_share(model, variable))
        if not _is_embedding(model, variable.shape, owner):
            without_embedding += variable.shape.size
            share = experts.share_used(layers.get(owner or ""), variable.shape)
            used = variable.shape.size * (1.0 if share is None else share)
            active += used
            active_frozen += used if is_frozen(variable) else 0.0
    return Parameters(
        total, without_embedding, round(active), padding, frozen, round(active_frozen)
    )


def is_frozen(variable: mtf.Variable) -> bool:
    """Returns whether training leaves a weight as it is."""
    return getattr(variable, "is_frozen", False)


def _is_embedding(model: Any, shape: mtf.Shape, owner: str | None) -> bool:
    if any(dim.name.startswith("vocab") for dim in shape.dims):
        return True
    return owner is None and model.max_length_dim in shape.dims


def used_share(model: Any, variable: mtf.Variable) -> float:
    """Returns which part of a variable belongs to ids that a token may have.

    Args:
        model: a Mesh-TF Unitransformer.
        variable: one of its weights. A table of a part of the vocabulary has an attribute
            `vocabulary_ids`, the first and the end of the ids of its rows.
    """
    unpadded = {
        model.input_vocab_dim: model.input_vocab_size_unpadded,
        model.output_vocab_dim: model.output_vocab_size_unpadded,
    }
    start, end = getattr(variable, "vocabulary_ids", (0, None))
    for dim in stored_weights.logical_shape(variable.shape.dims).dims:
        if end is not None and dim.name == model.input_vocab_dim.name:
            return (min(end, model.input_vocab_size_unpadded) - start) / dim.size
        if dim in unpadded:
            return unpadded[dim] / dim.size
    return 1.0
