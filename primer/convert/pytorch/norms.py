"""The norms of a stack and their places around its layers."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from primer.convert.pytorch.parts import Weight, refusal

_TRUE = "true_layer_norm/layer_prepostprocess/layer_norm/layer_norm_"
_PRIMER = "primer_norm/layer_prepostprocess/primer_norm/primer_norm_"


@dataclasses.dataclass(frozen=True)
class Norm:
    """A norm.

    Attributes:
        name: the class in the file.
        fragment: the flag of its text.
        variables: {parameter: variable under its scope}.
        epsilon: the number added to the variance.
    """

    name: str
    fragment: str
    variables: Mapping[str, str]
    epsilon: float

    def weights(self, place: str, scope: str) -> dict[str, Weight]:
        """Returns {parameter: Weight} of the norm at a place of the model, such as "final_norm"."""
        return {f"{place}.{p}": Weight((scope + v,)) for p, v in self.variables.items()}


_BOTH = ("scale", "bias")
# Sublayer -> class, flag and variables.
_NORMS: dict[str, tuple[str, str, dict[str, str]]] = {
    "sublayer_true_layer_norm": ("LayerNorm", "layer_norm", {p: _TRUE + p for p in _BOTH}),
    "sublayer_primer_norm": ("LayerNorm", "layer_norm", {p: _PRIMER + p for p in _BOTH}),
    "sublayer_uncentered_primer_norm": (
        "UncenteredNorm",
        "uncentered_norm",
        {p: _PRIMER + p for p in _BOTH},
    ),
    "sublayer_rms_norm": ("RMSNorm", "rms_norm", {"scale": "rms_norm/scale"}),
    "sublayer_scale_norm": ("ScaleNorm", "scale_norm", {"scale": "scale_norm/scale"}),
}
# Of training, or of padding behind the texts of a row, whose logits nothing reads.
_WITHOUT_EFFECT = (
    *("sublayer_dropout", "sublayer_mask_padding", "sublayer_legacy_dropout"),
    *("sublayer_annealed_dropout", "sublayer_clip_activation_gradient"),
)
_CALL, _RESIDUAL, _POST = "sublayer_call_layer", "sublayer_residual", "post_norm"
SHIFT = "sublayer_token_shift"
# The order of norm (N), call and residual -> the class of the stack's fragment, and its flag.
_ORDERS = {
    ("N", _CALL, _RESIDUAL): ("NormedInput", "pre"),
    (_CALL, "N", _RESIDUAL): ("NormedOutput", "output"),
    (_CALL, _RESIDUAL, "N"): ("NormedSum", "post"),
    ("N", _CALL, _POST, _RESIDUAL): ("NormedBoth", "sandwich"),
}
PREFIXES = ("true_layer_norm/", "primer_norm/", "rms_norm/", "scale_norm/", "post_norm/")


def of_model(wiring: Mapping[str, Any], configuration: Mapping[str, Any]) -> Norm:
    """Returns the norm of a stack, which must be one for all places.

    Raises:
        UsageError: there is none, another one, or several.
    """
    names = set(_norms_of(wiring["sublayers_per_layer"])) | set(
        _norms_of(wiring["sublayers_final"])
    )
    if len(names) != 1:
        raise refusal(f"a stack with {len(names)} kinds of norms: {', '.join(sorted(names))}")
    sublayer = names.pop()
    if sublayer not in _NORMS:
        raise refusal(f"the norm {sublayer}")
    key = f"{sublayer}.epsilon"
    values = {v for k, v in configuration.items() if k.rpartition("/")[2] == key}
    if len(values) != 1:
        raise refusal(f"{key} = {sorted(values)}")
    return Norm(*_NORMS[sublayer], values.pop())


def order(sublayers: Sequence[Any]) -> tuple[str, str]:
    """Returns the class around a layer and the flag of its text.

    Args:
        sublayers: those of the layer, as a description has them.

    Raises:
        UsageError: another order than those that stacks make.
    """
    places = tuple(_place(each) for each in sublayers if each not in _WITHOUT_EFFECT)
    if places not in _ORDERS:
        raise refusal(f"LayerStack.sublayers_per_layer = {list(places)}")
    return _ORDERS[places]


def around(sublayers: Sequence[Any] | None) -> list[str]:
    """Returns the sublayers before or behind the layers that have an effect, norms as "N"."""
    return [_place(each) for each in sublayers or [] if each not in _WITHOUT_EFFECT]


def _place(sublayer: Any) -> str:
    if isinstance(sublayer, dict) and sublayer.get("of") == "sublayer_post_norm":
        return _POST
    return "N" if sublayer in _NORMS else str(sublayer)


def _norms_of(sublayers: Sequence[Any] | None) -> list[str]:
    found = []
    for sublayer in sublayers or []:
        if isinstance(sublayer, dict):
            sublayer = dict(sublayer.get("keywords", [])).get("norm", str(sublayer))
        if "norm" in sublayer:
            found.append(sublayer)
    return found
