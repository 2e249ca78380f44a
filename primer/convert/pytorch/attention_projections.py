"""The projections of attention layers: matrices, biases, factors, and Primer's convolutions."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from primer.convert.pytorch.parts import Settings, Weight
from primer.layers.attention import projections


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The numbers of an attention layer.

    Attributes:
        heads, kv_heads: those of queries, and of keys and values.
        d_kv: channels of a head.
    """

    heads: int
    kv_heads: int
    d_kv: int

    @property
    def q_width(self) -> int:
        """The channels of all queries."""
        return self.heads * self.d_kv

    @property
    def k_width(self) -> int:
        """The channels of all keys, or values."""
        return self.kv_heads * self.d_kv


class Projections:
    """The projections of an attention layer.

    Attributes:
        own, sizes, shapes: settings, sizes, and {variable under the layer's scope: its shape}.
        weights: {parameter: Weight}.
        needs: what else the file must have.
        parameters: lines of the constructor.
        mode: the Synthesizer's, or None.
        has_keys, has_queries: whether the logits depend on them.
        shares_qk, shares_kv: whether queries are of keys, and keys are values.
    """

    def __init__(self, own: Settings, sizes: Sizes, shapes: Mapping[str, Any]) -> None:
        self.own, self.sizes, self.shapes = own, sizes, shapes
        self.weights: dict[str, Weight] = {}
        self.needs: set[str] = set()
        self.parameters: list[str] = []
        self.mode = own("synthesize_mode")
        self.has_keys = self.mode is None or "plus" in self.mode
        self.has_queries = self.has_keys or "dense" in self.mode
        self.shares_qk = own("share_qk_rep", False)
        self.shares_kv = own("shared_kv", False)

    def add_weights(self, values: Mapping[str, Any]) -> None:
        """Adds the matrices and the bias of the output, as the template's values say."""
        pairs = {"q": "has_q", "k": "has_k", "kv": "shared_kv"}
        names = {"o": "o"} | {name: name for name, key in pairs.items() if values[key]}
        if not values["shared_kv"]:
            names["v"] = "v"
        if self.shares_qk:
            names |= {"qk": "q", "q_from_k": "q_solo_project/kernel"}
        if values["output_bias"]:
            names["o_bias"] = "o_bias"
            self.parameters.insert(0, "self.o_bias = parameter(D_MODEL)")
        self.weights |= {own: Weight((ours,)) for own, ours in names.items()}

    def lines(self, single: bool) -> list[str]:
        """Returns the lines that project x to q, k and v.

        Args:
            single: whether keys and values, or values without keys, are of the weight "kv".
        """
        scale = ""
        if self.own("scale") is None and self.own("qk_norm") is None:
            if not self.own("fold_scaling_into_initializer", True):
                scale = f" * {self.sizes.d_kv**-0.5!r}"
        lines = []
        if self.shares_qk:
            late = self.own("rescale_shared_keys", False)
            lines.append(f"k = {self._projected('qk', 'k', 'qk', '' if late else scale)}")
            lines.append(f"q = {self._biased('k @ self.q_from_k', 'q', late and scale)}")
            lines.append(f"q = {self._heads('q', self.sizes.heads)}")
            lines.append(f"k = {self._heads('k', self.sizes.kv_heads)}")
        elif self.has_queries:
            q = self._projected("q", "q", "q", scale)
            lines.append(f"q = {self._heads(q, self.sizes.heads)}")
        if self.shares_kv and self.has_keys:
            k = self._projected("kv", "kv", "kv")
            return [*lines, f"k = {self._heads(k, self.sizes.kv_heads)}"]
        if self.has_keys and not self.shares_qk:
            k = self._projected("k", "k", "k")
            lines.append(f"k = {self._heads(k, self.sizes.kv_heads)}")
        name = "kv" if single else "v"
        v = self._projected(name, name, name)
        return [*lines, f"v = {self._heads(v, self.sizes.kv_heads)}"]

    def _heads(self, text: str, heads: int) -> str:
        text = text if text.isidentifier() or text.startswith("self.") else f"({text})"
        return f"{text}.view(batch, length, {heads}, {self.sizes.d_kv})"

    def _projected(self, weight: str, bias: str, conv: str, scale: str = "") -> str:
        text = self._biased(f"x @ self.{weight}", bias, scale)
        taps = self.own("kernel_size")
        if taps is None:
            return text
        width = self.sizes.q_width if weight == "q" else self.sizes.k_width
        crossing = ", crosses_texts=True" if self.own("crosses_texts") else ""
        self.parameters.append(
            f"self.{conv}_convolution = CausalConvolution({width}, {taps}{crossing})"
        )
        sources = tuple(f"{conv}_dconv/conv_{i}" for i in range(taps))
        self.weights[f"{conv}_convolution.taps"] = Weight(sources)
        self.needs |= {"convolution", "shifts"}
        return f"self.{conv}_convolution({text}, rows)"

    def _biased(self, text: str, bias: str, scale: str | bool = "") -> str:
        if projections.BIASES[self.own("biases", "none")][0]:
            width = self.sizes.q_width if bias == "q" else self.sizes.k_width
            self.parameters.append(f"self.{bias}_bias = parameter({width})")
            self.weights[f"{bias}_bias"] = Weight((f"{bias}_bias",))
            text = f"{text} + self.{bias}_bias"
        if scale:
            text = f"({text}){scale}" if "+" in text else f"{text}{scale}"
        return text
