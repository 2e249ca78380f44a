"""The variables of a model by the layer that they belong to."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from primer.convert.pytorch.parts import refusal

_LAYER = re.compile(r"(?P<model>.*?)(?P<layer>block_\d+/layer_\d+)/(?P<rest>.+)")
_WITHOUT_NAME = ("double_heads_attention/",)


@dataclasses.dataclass(frozen=True)
class Scope:
    """The variables under one scope.

    Attributes:
        prefix: the scope with its last "/".
        shapes: {variable under the scope: its shape}.
    """

    prefix: str
    shapes: Mapping[str, Sequence[int]]

    def inside(self, norms: Sequence[str]) -> "Scope":
        """Returns the scope of the layer's own variables, those that are none of its norms."""
        own = {n: s for n, s in self.shapes.items() if not n.startswith(tuple(norms))}
        names = {name.partition("/")[0] for name in own}
        if len(names) != 1:
            raise refusal(
                f"a layer with the variables {', '.join(sorted(own)) or 'of a norm only'}"
            )
        prefix = f"{names.pop()}/"
        for further in _WITHOUT_NAME:
            if all(name.startswith(prefix + further) for name in own):
                prefix += further
        shapes = {name[len(prefix) :]: shape for name, shape in own.items()}
        return Scope(self.prefix + prefix, shapes)


def split(shapes: Mapping[str, Sequence[int]]) -> tuple[Scope, list[Scope]]:
    """Returns the scope of the model and those of its layers, in order.

    Args:
        shapes: {variable: its shape}.

    Raises:
        UsageError: the variables are not those of one stack of layers.
    """
    layers: dict[str, dict[str, Sequence[int]]] = {}
    rest = {}
    prefixes = set()
    for name, shape in shapes.items():
        found = _LAYER.fullmatch(name)
        if found is None:
            rest[name] = shape
            continue
        prefixes.add(found["model"])
        layers.setdefault(found["layer"], {})[found["rest"]] = shape
    if len(prefixes) != 1:
        raise refusal(f"a model with {len(prefixes)} stacks of layers")
    prefix = prefixes.pop()
    if not all(name.startswith(prefix) for name in rest):
        raise refusal(f"a model with variables outside of {prefix}")
    model = Scope(prefix, {name[len(prefix) :]: shape for name, shape in rest.items()})
    return model, [Scope(f"{prefix}{key}/", layers[key]) for key in sorted(layers)]
