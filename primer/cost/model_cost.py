"""The cost of a model: its parameters, and its FLOPs per token by layer, in two conventions.

- EXACT: 2 FLOPs for each multiply-add of the forward pass's matrix products (`products`) at the
  run's length: projections, the logits of attention and its weighted values over all keys (no
  discount for causal attention; in windows, the keys of the blocks as they are computed), depthwise
  convolutions, and the output's logits over the vocabulary without its padding. Experts count the
  experts that a token chooses, whatever their capacity. Lookups, norms, activations, biases and the
  softmax count nothing. Training is three times the forward pass; products with a frozen weight,
  which has no gradient, count twice in it.
- SIX_N: 6 FLOPs for each active parameter without embedding (`parameters`), which leaves out
  attention and the output's logits (Kaplan et al., https://arxiv.org/abs/2001.08361, section 2.1);
  4 for a frozen one.
"""

import dataclasses
import math
from typing import Any

import mesh_tensorflow as mtf

from primer.cost import conventions, experts, owners, parameters, products

# The backward pass computes the gradients of both inputs of each product.
TRAINING = 3
# What `ModelCost.flops` calls the output's product with the table of the vocabulary.
LOGITS = "logits"
OTHER = "other"


@dataclasses.dataclass(frozen=True)
class ModelCost:
    """The cost of a model.

    Attributes:
        parameters: its parameters.
        length: the tokens of a sequence.
        flops: {layer such as "block_000/layer_001", or part outside the stack: FLOPs per token of
            the forward pass, EXACT}; without what costs nothing.
        frozen_flops: the part of `flops` that products with frozen weights are.
    """

    parameters: parameters.Parameters
    length: int
    flops: dict[str, float]
    frozen_flops: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def forward(self) -> float:
        """FLOPs per token of the forward pass, EXACT."""
        return sum(self.flops.values())

    @property
    def training(self) -> float:
        """FLOPs per token of a training step, EXACT."""
        return TRAINING * self.forward - sum(self.frozen_flops.values())

    @property
    def six_n(self) -> int:
        """FLOPs per token of a training step, SIX_N."""
        return 6 * self.parameters.active - 2 * self.parameters.active_frozen

    def as_result(self) -> dict[str, Any]:
        """Returns what the results of an evaluation keep; FLOPs are whole numbers per token."""
        return {
            "parameters": self.parameters.total,
            **self._trained(),
            "parameters_without_embedding": self.parameters.without_embedding,
            "active_parameters_without_embedding": self.parameters.active,
            "flops_per_token": round(self.training),
            "flops_convention": f"training, {conventions.EXACT}, length {self.length}",
        }

    def _trained(self) -> dict[str, int]:
        """Returns the number of trained parameters, where some are frozen."""
        numbers = self.parameters
        return {"parameters_trained": numbers.trained} if numbers.frozen else {}


def is_known(model: Any) -> bool:
    """Whether the cost of a Unitransformer can be counted: its stack has layers with names.

    Args:
        model: a Mesh-TF Unitransformer, whose stack may be of a class of the user's own.
    """
    layers = getattr(getattr(model, "layer_stack", None), "_layers", None)
    if layers is None or not getattr(model, "output_vocab_size_unpadded", None):
        return False
    return all(getattr(layer, "name", None) for layer in layers)


def of_graph(model: Any, graph: mtf.Graph, tokens: int, length: int) -> ModelCost:
    """Returns the cost of a model.

    Args:
        model: a Mesh-TF Unitransformer whose cost `is_known`.
        graph: the graph of its forward pass, without gradients and not lowered.
        tokens: the tokens of the batch that the graph computes.
        length: the tokens of each of its sequences.
    """
    layers = owners.layers_by_name(model)
    flops: dict[str, float] = {}
    frozen: dict[str, float] = {}
    for operation, multiply_adds in products.products(graph):
        name = owners.without_model(operation.name)
        owner = owners.owner(name, layers)
        share = _expert_share(layers.get(owner or ""), operation, multiply_adds, tokens)
        part = owner or (LOGITS if _is_logits(model, operation) else OTHER)
        if part == LOGITS:
            share *= _used_share(model, operation)
        number = 2 * multiply_adds * share / tokens
        flops[part] = flops.get(part, 0.0) + number
        if any(map(parameters.is_frozen, filter(None, map(products.weight_of, operation.inputs)))):
            frozen[part] = frozen.get(part, 0.0) + number
    return ModelCost(parameters.count(model, graph), length, flops, frozen)


def _is_logits(model: Any, operation: mtf.Operation) -> bool:
    return any(dim.name.startswith("vocab") for dim in operation.outputs[0].shape.dims)


def _used_share(model: Any, operation: mtf.Operation) -> float:
    """Returns the share of a product with the output's table that is not of padding."""
    weights = filter(None, map(products.weight_of, operation.inputs))
    return math.prod(parameters.used_share(model, weight) for weight in weights)


def _expert_share(layer: Any, operation: mtf.Operation, multiply_adds: int, tokens: int) -> float:
    """Returns the factor that makes a product of experts one of each token's chosen experts.

    The graph multiplies slots, whose number the capacity decides.
    """
    for weight in filter(None, map(products.weight_of, operation.inputs)):
        share = experts.share_used(layer, weight.shape)
        if share is not None:
            return share * weight.shape.size * tokens / multiply_adds
    return 1.0
