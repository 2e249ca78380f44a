"""Writes the PyTorch file of a model from its description."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from primer.convert.pytorch import adaptive, embedding, norms, scopes
from primer.convert.pytorch.layers import Layers
from primer.convert.pytorch.parts import Settings, Weight, refusal
from primer.convert.pytorch.template import render

_STACKS = (
    *("LayerStack", "PreNormLayerStack", "PostNormLayerStack", "PrePostNormLayerStack"),
    *("SandwichNormLayerStack", "ParallelLayerStack"),
)
_TOP_LEVEL = re.compile(r"\n+((?:class|def|@torch|try:)\b)")


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
        self.model_scope, layer_scopes = scopes.split(shapes)
        self.norm = norms.of_model(self.wiring, description["configuration"])
        self.layers = Layers(self.wiring, layer_scopes, self.norm)
        self.weights, self.needs = self.layers.weights, self.layers.needs

    def file(self) -> ModelFile:
        """Returns the file."""
        d_model = self.wiring["d_model"]
        settings = self._settings()
        values, weights = self._embedding(settings, d_model)
        self.weights |= {n: w.under(self.model_scope.prefix) for n, w in weights.items()}
        values["layer_lines"] = self.layers.lines()
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
        values |= {need: True for need in self.needs if ":" not in need} | self.layers.flags
        self._check_all_variables()
        return ModelFile(
            self._text(values),
            self.weights,
            self.layers.unused,
            values["rows"],
            len(self.wiring["layers"]),
        )

    def _embedding(self, settings: Any, d_model: int) -> tuple[dict[str, Any], dict[str, Weight]]:
        configuration = self.description["configuration"]
        if embedding.name_of(configuration) == embedding.ADAPTIVE:
            tokens = self.description["token_ids"]
            return adaptive.values(configuration, self.model_scope.shapes, d_model, tokens)
        return embedding.values(configuration, settings, d_model, self.multiplier)

    def _text(self, values: Mapping[str, Any]) -> str:
        own = ["rows", "norms", "positions"]
        own += [name for name in ("convolution", "linear") if name in self.needs]
        own += ["adaptive"] if values.get("adaptive") else []
        texts = [render(name, values) for name in own]
        texts += self.layers.classes
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
        lengths += [w.shape[-1] for w in self.weights.values() if w.shape and _is_gate(w)]
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
            if name not in read and name not in self.layers.unused:
                raise refusal(f"a model with the variable {name}")


def _is_gate(weight: Weight) -> bool:
    return weight.sources[0].endswith("/spatial_gate")
