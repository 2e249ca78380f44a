"""The layers of a model with the norms around them: their classes, and how they are made."""

from collections.abc import Mapping, Sequence
from typing import Any

from primer.convert.pytorch import attention, feed_forward, norms, scopes
from primer.convert.pytorch.parts import Part, Weight, refusal
from primer.layers.attention.options import value_embedding

_LAYERS = {
    "DenseReluDense": feed_forward.dense,
    "MixtureOfExperts": feed_forward.experts,
    "EvolvedConvolution": feed_forward.evolved,
}
# The classes of post_norm_layers -> those of layers' descriptions.
_FEED_FORWARD = {
    "DenseReluDense": "DenseReluDense",
    "MoE1D": "MixtureOfExperts",
    "MoE2D": "MixtureOfExperts2D",
}
_ALL = "TransformerLayer"


class Layers:
    """The layers of a model.

    Args:
        wiring: that of the description.
        layer_scopes: the variables of each layer.
        norm: the norm of the stack.

    Attributes:
        weights: {parameter: Weight}.
        unused: variables that evaluation does not read.
        needs: what else the file must have.
        flags: the texts of norms and of the classes around layers.
        classes: {text of a class: its name}.
    """

    def __init__(
        self, wiring: Mapping[str, Any], layer_scopes: Sequence[scopes.Scope], norm: norms.Norm
    ) -> None:
        self.wiring, self.scopes, self.norm = wiring, layer_scopes, norm
        self.layers = wiring["layers"]
        if len(self.layers) != len(self.scopes):
            raise refusal(f"{len(self.layers)} layers, {len(self.scopes)} with variables,")
        self.weights: dict[str, Weight] = {}
        self.unused: list[str] = []
        self.needs: set[str] = set()
        self.flags: dict[str, bool] = {norm.fragment: True}
        self.classes: dict[str, str] = {}

    def lines(self) -> list[str]:
        """Returns the lines that make the layers, of which the model's period is written once."""
        made = [self._made(i) for i in range(len(self.layers))]
        for period in range(1, len(made) + 1):
            if len(made) % period == 0 and made == made[:period] * (len(made) // period):
                break
        times = len(made) // period
        lines = [f"self.layers.append({text})" for text in made[:period]]
        if times == 1:
            return lines
        return [f"for _ in range({times}):", *(f"    {line}" for line in lines)]

    def _made(self, index: int) -> str:
        """Returns the expression that makes a layer with its norms."""
        layer, scope = self.layers[index], self.scopes[index]
        part = self._part(index, scope.inside(norms.PREFIXES))
        around, flag = norms.order(self._sublayers(layer))
        if self.wiring["layer_stack"] == "ParallelLayerStack":
            if flag != "pre":
                raise refusal("a ParallelLayerStack without a norm before each layer")
            around, flag = "Branch", "parallel"
        self.flags[flag] = True
        place = f"layers.{index}"
        self.weights |= self.norm.weights(f"{place}.norm", scope.prefix)
        if flag == "sandwich":
            self.weights |= self.norm.weights(f"{place}.post_norm", f"{scope.prefix}post_norm/")
        return f"{around}({self._class_name(part)}({part.arguments}))"

    def _part(self, index: int, scope: scopes.Scope) -> Part:
        layer = self.layers[index]
        base = layer["class"].partition("(")[0]
        if base in attention.CLASSES:
            part = attention.part(layer, self._value_table(index), scope.shapes)
        elif base in _LAYERS:
            part = _LAYERS[base](layer)
        else:
            raise refusal(f"the layer {layer['class']}")
        self.weights |= {
            f"layers.{index}.layer.{name}": weight.under(scope.prefix)
            for name, weight in part.weights.items()
        }
        self.unused += [scope.prefix + name for name in part.unused]
        self.needs |= part.needs
        return part

    def _class_name(self, part: Part) -> str:
        """Returns the name of a part's class, which is written once."""
        for text, name in self.classes.items():
            if text == part.source.replace("CLASS", name):
                return name
        names, number = set(self.classes.values()), 2
        name = part.base
        while name in names:
            name, number = f"{part.base}{number}", number + 1
        self.classes[part.source.replace("CLASS", name)] = name
        return name

    def _value_table(self, index: int) -> int | None:
        setting = value_embedding.SETTING
        having = [i for i, layer in enumerate(self.layers) if layer.get(setting, 0)]
        if index not in having:
            return None
        number = self.layers[index][setting]
        return value_embedding.table_number(having.index(index), len(having), number)

    def _sublayers(self, layer: Mapping[str, Any]) -> Any:
        stack = self.wiring.get("stack", {})
        base = layer["class"].partition("(")[0]
        post = stack.get("post_norm_layers", ())
        unknown = set(post) - {*_FEED_FORWARD, _ALL}
        if unknown:
            raise refusal(f"PrePostNormLayerStack.post_norm_layers with {', '.join(unknown)}")
        if _ALL in post or base in (_FEED_FORWARD[name] for name in post):
            return stack["sublayers_post_norm"]
        return self.wiring["sublayers_per_layer"]
