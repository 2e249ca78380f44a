"""The layers of a model in order, with their variables' shapes; equal blocks are one entry."""

import dataclasses
import itertools
import math

from primer.common.class_names import class_name


@dataclasses.dataclass
class Variable:
    """A trainable variable: its name below its layer, {dimension: size}, in how many blocks."""

    name: str
    shape: dict
    times: int = 1

    @property
    def parameters(self) -> int:
        """The number of its entries, in one block."""
        return math.prod(self.shape.values())

    def shape_text(self) -> str:
        """`[d_model 512, d_ff 2048]`."""
        # Mesh-TF calls the first of two equal dimensions `_heads`.
        sizes = (f"{name.lstrip('_')} {size}" for name, size in self.shape.items())
        return f"[{', '.join(sizes)}]"


@dataclasses.dataclass
class Layer:
    """A layer of the stack, or what stands before and after the stack (`embedding`)."""

    name: str
    kind: str  # The layer's class; "" outside the stack.
    variables: list


@dataclasses.dataclass
class Group:
    """Equal blocks in a row: the first, the last, and the layers of one of them."""

    first: str
    last: str
    times: int
    layers: list

    @property
    def name(self) -> str:
        """`block_000-005`, or the name of the only one; "" outside the blocks."""
        return self.first if self.times == 1 else f"{self.first}-{self.last.rsplit('_', 1)[-1]}"

    def take(self, block, layers) -> bool:
        """Adds a block that has the same layers, and no variable that the first one lacks.

        It may lack some: what layers share (`relative_attention_bias`) the first one has.
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
            names = {v.name for v in layer.variables}
            for variable in mine.variables:
                variable.times += variable.name in names
        self.last = block
        self.times += 1
        return True


def layer_groups(model, graph) -> list:
    """The model from its embedding to its end, as a list of Group.

    Args:
        model: a Mesh-TF Unitransformer.
        graph: the mtf.Graph that it was built in; `run_graph.build_forward` gives both.
    """
    found = []
    for block, parts in itertools.groupby(_layers(model, graph), key=lambda part: part[0]):
        layers = [layer for _, layer in parts]
        if not found or not found[-1].take(block, layers):
            found.append(Group(block, block, 1, layers))
    return found


def parameters_by_part(model_groups) -> dict:
    """{class of layer, norm, or what stands outside the stack: its parameters}, in order."""
    parts = {}
    for group in model_groups:
        for layer in group.layers:
            for variable in layer.variables:
                part = variable.name.split("/")[0] if layer.kind else layer.name
                parts[part] = parts.get(part, 0) + variable.times * variable.parameters
    return parts


def _layers(model, graph):
    """Yields (block or "", Layer) from the embedding to the final norm."""
    stack = {layer.name: Layer(layer.name, class_name(layer), []) for layer in _stack(model)}
    outside = {False: {}, True: {}}  # Before the stack, after it.
    for variable in graph.trainable_variables:
        name = variable.name.split("/", 1)[-1]  # Without the model's own.
        shape = {d.name: d.size for d in variable.shape.dims}
        owner = _owner(name, stack)
        if owner is None:
            head, _, rest = name.partition("/")
            begun = any(layer.variables for layer in stack.values())
            layer = outside[begun].setdefault(head, Layer(head, "", []))
            layer.variables.append(Variable(rest or head, shape))
        else:
            stack[owner].variables.append(Variable(name[len(owner) + 1 :], shape))
    yield from (("", layer) for layer in outside[False].values())
    for layer in stack.values():
        block, _, layer.name = layer.name.rpartition("/")
        yield block, layer
    yield from (("", layer) for layer in outside[True].values())


def _stack(model):
    return model.layer_stack._layers


def _owner(name, stack):
    """The name of the layer that a variable belongs to; None outside the stack."""
    parts = name.split("/")
    prefixes = ("/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1))
    return next((prefix for prefix in prefixes if prefix in stack), None)
