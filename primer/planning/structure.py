"""The layers of a model in order, with the shapes of their variables; equal blocks are grouped."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from primer.common.class_names import class_name
from primer.cost import owners

if TYPE_CHECKING:
    import mesh_tensorflow as mtf
    from mesh_tensorflow.transformer import transformer

    from primer.cost import model_cost


@dataclasses.dataclass
class Variable:
    """A trainable variable.

    Attributes:
        name: its name below its layer.
        shape: {dimension: size}.
        times: the number of blocks that have it.
    """

    name: str
    shape: dict[str, int]
    times: int = 1

    @property
    def parameters(self) -> int:
        """The number of its entries in one block."""
        return math.prod(self.shape.values())

    def shape_text(self) -> str:
        """Returns the shape as `[d_model 512, d_ff 2048]`."""
        # Mesh-TF calls the first of two equal dimensions `_heads`.
        sizes = (f"{name.lstrip('_')} {size}" for name, size in self.shape.items())
        return f"[{', '.join(sizes)}]"


@dataclasses.dataclass
class Layer:
    """A layer of the stack, or a part before or after the stack such as `embedding`.

    Attributes:
        name: its name in its block.
        kind: the name of its class; "" outside the stack.
        variables: its trainable variables.
        flops: FLOPs per token of its forward pass (`primer.cost.conventions.EXACT`), in each of the
            equal blocks: layers of other windows have the same variables.
        frozen_flops: the part of each that products with frozen weights are; [] for none.
    """

    name: str
    kind: str
    variables: list[Variable]
    flops: list[float] = dataclasses.field(default_factory=list)
    frozen_flops: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Group:
    """Consecutive equal blocks.

    Attributes:
        first: the name of the first block; "" outside the blocks.
        last: the name of the last block.
        times: the number of blocks.
        layers: the layers of the first block.
    """

    first: str
    last: str
    times: int
    layers: list[Layer]

    @property
    def name(self) -> str:
        """`block_000-005`, or the name of a single block; "" outside the blocks."""
        return self.first if self.times == 1 else f"{self.first}-{self.last.rsplit('_', 1)[-1]}"

    def add_if_equal(self, block: str, layers: Sequence[Layer]) -> bool:
        """Adds a block with the same layers and no variable that the first block lacks.

        The block may lack variables of the first one: the first block owns what layers share
        (`relative_attention_bias`).

        Returns:
            Whether the block was added.
        """
        if not self.first or len(layers) != len(self.layers):
            return False
        pairs = list(zip(self.layers, layers, strict=True))
        if any((a.name, a.kind) != (b.name, b.kind) for a, b in pairs):
            return False
        shapes = [{v.name: v.shape for v in layer.variables} for layer, _ in pairs]
        for known, (_, layer) in zip(shapes, pairs, strict=True):
            if any(known.get(v.name) != v.shape for v in layer.variables):
                return False
        for mine, layer in pairs:
            mine.flops += layer.flops
            mine.frozen_flops += layer.frozen_flops
            names = {v.name for v in layer.variables}
            for variable in mine.variables:
                variable.times += variable.name in names
        self.last = block
        self.times += 1
        return True


def layer_groups(
    model: "transformer.Unitransformer", graph: "mtf.Graph", cost: "model_cost.ModelCost"
) -> list[Group]:
    """Returns the model from its embedding to its output, equal blocks grouped.

    Args:
        model: a Mesh-TF Unitransformer.
        graph: the graph that it was built in; `run_graph.build_forward` returns both.
        cost: the cost of the graph, which `run_graph.cost_of` returns.
    """
    groups: list[Group] = []
    for block, parts in itertools.groupby(_layers(model, graph, cost), key=lambda part: part[0]):
        layers = [layer for _, layer in parts]
        if not groups or not groups[-1].add_if_equal(block, layers):
            groups.append(Group(block, block, 1, layers))
    return groups


def parameters_by_part(groups: Sequence[Group]) -> dict[str, int]:
    """Returns the number of parameters of each part of a model.

    Returns:
        {class of a layer, norm, or part outside the stack: parameters}, in the model's order.
    """
    parts: dict[str, int] = {}
    for group in groups:
        for layer in group.layers:
            for variable in layer.variables:
                part = variable.name.split("/")[0] if layer.kind else layer.name
                parts[part] = parts.get(part, 0) + variable.times * variable.parameters
    return parts


def _layers(
    model: "transformer.Unitransformer", graph: "mtf.Graph", cost: "model_cost.ModelCost"
) -> Iterator[tuple[str, Layer]]:
    """Yields (block or "", Layer) from the embedding to the final norm and the output."""
    flops, frozen = cost.flops, cost.frozen_flops
    stack = {
        name: Layer(name, class_name(layer), [], [flops.get(name, 0.0)], [frozen.get(name, 0.0)])
        for name, layer in owners.layers_by_name(model).items()
    }
    before_stack: dict[str, Layer] = {}
    after_stack: dict[str, Layer] = {}
    for variable in graph.trainable_variables:
        name = owners.without_model(variable.name)
        shape = {d.name: d.size for d in variable.shape.dims}
        owner = owners.owner(name, stack)
        if owner is None:
            part, _, rest = name.partition("/")
            stack_begun = any(layer.variables for layer in stack.values())
            outside = after_stack if stack_begun else before_stack
            layer = outside.setdefault(part, Layer(part, "", []))
            layer.variables.append(Variable(rest or part, shape))
        else:
            stack[owner].variables.append(Variable(name[len(owner) + 1 :], shape))
    for part in flops:
        if part not in stack:
            layer = after_stack.setdefault(part, Layer(part, "", []))
            layer.flops, layer.frozen_flops = [flops[part]], [frozen.get(part, 0.0)]
    yield from (("", layer) for layer in before_stack.values())
    for layer in stack.values():
        block, _, layer.name = layer.name.rpartition("/")
        yield block, layer
    yield from (("", layer) for layer in after_stack.values())
