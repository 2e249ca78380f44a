"""Writes the PyTorch file of a model from its description."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from primer.convert.pytorch import attention, embedding, feed_forward, norms, scopes
from primer.convert.pytorch.parts import Part, Settings, Weight, refusal
from primer.convert.pytorch.template import render
from primer.layers.attention.options import value_embedding

_STACKS = ("LayerStack", "PreNormLayerStack", "PostNormLayerStack", "PrePostNormLayerStack")
_STACKS += ("SandwichNormLayerStack", "ParallelLayerStack")
_LAYERS = {
    "DenseReluDense": feed_forward.dense,
    "MixtureOfExperts": feed_forward.experts,
    "EvolvedConvolution": feed_forward.evolved,
}
_TOP_LEVEL = re.compile(r"\n+((?:class|def|@torch|try:)\b)")
# The names of classes in lists of classes -> those of layers' descriptions.
_STORED = {"MoE1D": "MixtureOfExperts", "MoE2D": "MixtureOfExperts2D"}


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """A model's file.

    Attributes:
        source: its text.
        weights: {parameter: Weight}, of all variables but `unused`.
        unused: variables that evaluation does not read.
        rows: how many logits it has.
        num_layers: how many layers.
    """

    source: str
    weights: Mapping[str, Weight]
    unused: Sequence[str]
    rows: int
    num_layers: int


def write(
    description: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], multiplier: float | None
) -> ModelFile:
    """Returns the file of a model.

    Args:
        description: "wiring" and "configuration" as `model_description.describe` returns them, and
            "title", "length", "token_ids" and "end_token_id".
        shapes: {variable: its shape}.
        multiplier: the value of TokenEmbedding.width_multiplier.

    Raises:
        UsageError: the model has something that the file cannot have.
    """
    return _Model(description, shapes, multiplier).file()


class _Model:
    def __init__(self, description: Mapping[str, Any], shapes: Any, multiplier: Any) -> None:
        self.description, self.multiplier = description, multiplier
        self.wiring = description["wiring"]
        if self.wiring.get("model") != "Unitransformer" or "layers" not in self.wiring:
            raise refusal(f"the model {self.wiring.get('model')}")
        if self.wiring["layer_stack"] not in _STACKS:
            raise refusal(f"layer_stack = @{self.wiring['layer_stack']}")
        self.shapes = shapes
        self.model_scope, self.layer_scopes = scopes.split(shapes)
        self.layers = self.wiring["layers"]
        if len(self.layers) != len(self.layer_scopes):
            raise refusal(f"{len(self.layers)} layers, {len(self.layer_scopes)} with variables,")
        self.norm = norms.of_model(self.wiring, description["configuration"])
        self.weights: dict[str, Weight] = {}
        self.unused: list[str] = []
        self.needs: set[str] = set()
        self.flags: dict[str, bool] = {self.norm.fragment: True}
        self.classes: dict[str, str] = {}  # Text -> name.

    def file(self) -> ModelFile:
        """Returns the file."""
        d_model = self.wiring["d_model"]
        settings = self._settings()
        values, weights = embedding.values(
            self.description["configuration"], settings, d_model, self.multiplier
        )
        self.weights |= {n: w.under(self.model_scope.prefix) for n, w in weights.items()}
        values["layer_lines"] = self._layer_lines()
        values |= self._positions(settings) | self._shared(values) | self._around_layers()
        values |= {
            "d_model": d_model,
            "table_rows": self.wiring["output_vocabulary"],
            "norm": self.norm.name,
            "epsilon": repr(self.norm.epsilon),
            "tokens": self.description["token_ids"],
            "end": self.description["end_token_id"],
            "window": self.description["length"],
            "title": self.description["title"],
        }
        values["rows"] = values["tokens"] if values["masked"] else values["table_rows"]
        values["padded_rows"] = not values["masked"] and values["rows"] > values["tokens"]
        values |= {need: True for need in self.needs if ":" not in need} | self.flags
        self._check_all_variables()
        return ModelFile(
            self._text(values), self.weights, self.unused, values["rows"], len(self.layers)
        )

    def _text(self, values: Mapping[str, Any]) -> str:
        own = ["rows", "norms", "positions"]
        own += [name for name in ("convolution", "linear") if name in self.needs]
        texts = [render(name, values) for name in own]
        texts += self.classes
        texts += [render(name, values) for name in ("stacks", "model", "transformers")]
        uses_math = any("math." in text for text in texts)
        head = render("head", {**values, "math": uses_math})
        text = "\n\n\n".join([head, *filter(None, texts)]) + "\n"
        return _TOP_LEVEL.sub(r"\n\n\n\1", text)

    def _settings(self) -> Mapping[str, Any]:
        settings = Settings("Unitransformer", self.wiring.get("settings", {}))
        settings.only("ensemble_dim", None)
        settings.only("input_full_attention", False)
        settings.only("autoregressive", True)
        settings.without_effect(("positional_embedding", "sinusoid_positional_embedding"))
        settings.without_effect(("shared_embedding_and_softmax_weights",))
        settings.check_all_known()
        stack = Settings("layer_stack", self.wiring.get("stack", {}))
        stack.without_effect(("first_of_group", "post_norm_layers", "sublayers_post_norm"))
        stack.check_all_known()
        return self.wiring.get("settings", {})

    def _layer_lines(self) -> list[str]:
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
        layer, scope = self.layers[index], self.layer_scopes[index]
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
        post = [_STORED.get(name, name) for name in stack.get("post_norm_layers", ())]
        if base in post or "TransformerLayer" in post:
            return stack["sublayers_post_norm"]
        return self.wiring["sublayers_per_layer"]

    def _around_layers(self) -> dict[str, Any]:
        initial = norms.around(self.wiring["sublayers_initial"])
        final = norms.around(self.wiring["sublayers_final"])
        if initial not in ([], [norms.SHIFT]):
            raise refusal(f"sublayers_initial = {initial}")
        if final not in ([], ["N"]):
            raise refusal(f"sublayers_final = {final}")
        prefix = self.model_scope.prefix
        if final:
            self.weights |= self.norm.weights("final_norm", prefix)
        if initial:
            self.needs |= {"token_shift", "shifts"}
            self.weights["token_shift.gate"] = Weight((f"{prefix}token_shift/gate",))
            self.weights["token_shift.factor"] = Weight((f"{prefix}token_shift/lambda",))
        channels = self.model_scope.shapes.get("token_shift/gate", [0])[0]
        begins = self.wiring.get("stack", {}).get("first_of_group", [])
        return {"final_norm": bool(final), "gate_channels": channels, "begins": begins}

    def _positions(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        lengths = [int(n.partition(":")[2]) for n in self.needs if n.startswith("max_length:")]
        lengths += [w.shape[-1] for n, w in self.weights.items() if n.endswith("spatial_gate")]
        found: dict[str, Any] = {}
        if settings.get("sinusoid_positional_embedding"):
            found["sinusoid"] = True
        elif settings.get("positional_embedding"):
            found["learned"] = True
            lengths.append(self.model_scope.shapes["positional_embedding"][0])
            name = f"{self.model_scope.prefix}positional_embedding"
            self.weights["positions"] = Weight((name,))
        if lengths:
            found |= {"max_length": min(lengths), "max_length_used": True}
        return found

    def _shared(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of what several layers share."""
        tables = sorted(n.split(":")[1:] for n in self.needs if n.startswith("shared_bias:"))
        sizes = {
            tuple(n.split(":")[-2:]) for n in self.needs if n.startswith(("shared_b", "own_b"))
        }
        if len(sizes) > 1:
            raise refusal("layers with different numbers of buckets of relative biases")
        buckets, longest = sizes.pop() if sizes else (0, 0)
        heads = [int(table[0]) for table in tables]
        self._share_biases(heads, buckets)
        found: dict[str, Any] = {"buckets": buckets, "longest": longest, "bias_heads": heads}
        pairs = ", ".join(f"{h}: self.relative_bias_{h}(rows)" for h in heads)
        found |= {"shared_bias": bool(heads), "bias_dict": pairs}
        for need in self.needs:
            name, _, numbers = need.partition(":")
            if name == "xl_shared":
                count, d_kv = map(int, numbers.split(":"))
                found |= {"xl_shared": True, "xl_heads": count, "xl_d_kv": d_kv}
                for own, ours in (("u", "r_w_bias"), ("v_r", "r_r_bias")):
                    full = self.model_scope.prefix + ours
                    self.weights[own] = Weight((full,), (count, d_kv))
            if name == "clamp":
                found["clamp"] = numbers
        shapes = self.model_scope.shapes
        width = [n for n in shapes if n.startswith("value_embedding_")]
        for name in width:
            self.weights[name] = Weight((self.model_scope.prefix + name,))
        found["value_tables"] = list(range(len(width)))
        found["value_width"] = shapes[width[0]][1] if width else 0
        found["value_list"] = ", ".join(f"self.value_embedding_{i}[ids]" for i in range(len(width)))
        return found

    def _share_biases(self, heads: Sequence[int], buckets: Any) -> None:
        own = {name for weight in self.weights.values() for name in weight.sources}
        tables = [n for n in self.shapes if n.endswith("/relative_attention_bias") and n not in own]
        for name in tables:
            *parts, _ = self.shapes[name]
            count = 1
            for part in parts:
                count *= part
            place = f"relative_bias_{count}.table"
            if count not in heads or place in self.weights:
                raise refusal("tables of relative biases of layers with different memory heads")
            self.weights[place] = Weight((name,), (count, int(buckets)))

    def _check_all_variables(self) -> None:
        read = [name for weight in self.weights.values() for name in weight.sources]
        for name in read:
            if name not in self.shapes:
                raise refusal(f"a model without the variable {name}")
        for name in self.shapes:
            if name not in read and name not in self.unused:
                raise refusal(f"a model with the variable {name}")
