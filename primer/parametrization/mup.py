"""Width that carries over (muP, Tensor Programs V, https://arxiv.org/abs/2203.03466).

The best learning rate of a narrow model is that of a wide one if every layer's output, and what a
step of training changes of it, keeps its size as the model gets wider. With m = width / base_width,
a setting in force is the base model's times

    kind      deviation   rate: constant   gradient   weight      spectral   orthogonal
    hidden    1/sqrt(m)         1/m        1          1/sqrt(m)   1          1/sqrt(m)
    input     1                 1          m          1           -          -
    output    1                 1          m          1           -          -
    narrow    1/m               1/m        1/m        1           1/sqrt(m)  1/m
    scalar    1                 1          1          1           -          -

and the logits are those of an output of the kind above times 1/m. Kinds of weights, by the width of
their input and of their output (fan-in and fan-out):

    hidden    wide to wide: queries, keys, values, outputs of layers, feed-forward layers
    input     fixed to wide: embeddings (also where they are the output), positions, biases, scales
              of norms, taps of convolutions, and whatever each head has of its own
    output    wide to fixed, with the factor 1/m of the logits: the output to the vocabulary
    narrow    wide to fixed, without a factor: routers, keys and values of multi-query attention
    scalar    no wide dimension: the scale of qk_norm, a few learned numbers

Kinds of optimizers, by the size of an update:

    constant      each entry's is the same whatever the gradient's size: Adam, Lion, Adafactor
                  without parameter scale
    gradient      in proportion to the gradient: SGD
    weight        in proportion to the weight: Adafactor with parameter scale, LAMB
    spectral      all singular values are sqrt(max(1, outputs / inputs)): Muon's scale "spectral"
    orthogonal    all singular values are equal and the entries' root mean square is constant:
                  Muon's scale "rms"; of single heads it is "constant"

The rates follow from what a step may change. A gradient's directions are those of its inputs, so
that n inputs of size 1 sum up: the entries of a hidden update have to fall as 1/n (constant), and
the gradient's do, as its own output's gradient is of size 1/n and its input of size 1 (gradient).
An update in proportion to a weight of size 1/sqrt(n) is sqrt(n) too large (weight). An update of
equal singular values s changes an output of size 1 by s * sqrt(inputs / outputs); with entries of a
constant root mean square s is as sqrt(n), which leaves 1/sqrt(m), not Adam's 1/m, for these. The
gradients of input and output weights are of size 1/n and their updates have to be of size 1. Narrow
weights are output weights with the factor 1/m in their values (symmetry abc of the paper).

The channels of a head, d_kv, are fixed, and so attention keeps its factor 1/sqrt(d_kv); muP's
1/d_kv is for heads that get wider. Weight decay is as in the base model: rate * decay does not
change. Rates of "constant" and "gradient", deviations, decay and the factor of the logits are those
of the paper's table 8 and of the package `mup`.
"""

import math
import re
from collections.abc import Callable
from typing import Any, Literal

import gin
import mesh_tensorflow as mtf
from mesh_tensorflow import optimize

from primer.common import checks
from primer.common.class_names import class_name
from primer.errors import UsageError
from primer.parametrization import roles

Kind = Literal["hidden", "input", "output", "narrow", "scalar"]
UpdateSize = Literal["constant", "gradient", "weight", "spectral", "orthogonal"]

# Dimensions that grow with the width; heads do, their channels d_kv and the rank of LoRA do not.
GROWING = {*roles.WIDTHS, "value_embedding"} - {"d_kv", "lora_rank"}

# Kind -> the power of 1/m in the standard deviation of initial values, and in the rate.
_DEVIATION = {"hidden": 0.5, "input": 0.0, "output": 0.0, "narrow": 1.0, "scalar": 0.0}
_CONSTANT = {"hidden": 1.0, "input": 0.0, "output": 0.0, "narrow": 1.0, "scalar": 0.0}
_RATES: dict[str, dict[str, float]] = {
    "constant": _CONSTANT,
    "gradient": {"hidden": 0.0, "input": -1.0, "output": -1.0, "narrow": 1.0, "scalar": 0.0},
    "weight": {kind: power - _DEVIATION[kind] for kind, power in _CONSTANT.items()},
    "spectral": {**_CONSTANT, "hidden": 0.0, "narrow": 0.5},
    "orthogonal": {**_CONSTANT, "hidden": 0.5},
}
_OUTPUT = re.compile(r"(^|/)logits/kernel$")


@gin.configurable
def width_multiplier(width: int, base_width: float | None = None) -> float | None:
    """Returns m = width / base_width, or None without a base width.

    Args:
        width: the width of the model, d_model.
        base_width: the width for which learning rate and initial values are set; None for a model
            whose settings do not depend on its width.

    Raises:
        UsageError: base_width is no number above 0.
    """
    if base_width is None:
        return None
    expected = "a number above 0, the width that the settings were tuned at, or None"
    return width / checks.positive_number("base_width", base_width, expected)


def kind(name: str, shape: mtf.Shape) -> Kind:
    """Returns the kind of a weight.

    Args:
        name: its name; the output to the vocabulary is known by it.
        shape: its shape, inputs first.
    """
    sides = roles.sides(shape)
    wide = [any(_name(dim) in GROWING for dim in side) for side in sides]
    if not any(wide):
        return "scalar"
    # One side is a vector. What begins with heads and is no matrix belongs to each head.
    is_per_head = _name(sides[0][0]) in roles.HEADS and roles.matrix_sides(shape) is None
    if len(sides) == 1 or is_per_head or not wide[0]:
        return "input"
    if any(wide[1:]):
        return "hidden"
    return "output" if _OUTPUT.search(name) else "narrow"


def deviation(name: str, shape: mtf.Shape, m: float) -> float:
    """Returns the factor of a weight's fixed standard deviation, which is the base model's."""
    return m ** -_DEVIATION[kind(name, shape)]


def own_deviation(name: str, shape: mtf.Shape, m: float, initializer: Any) -> float:
    """Returns the factor of a weight's own initial values, which may fall with its width.

    Args:
        name: the weight's name.
        shape: its shape.
        m: the width multiplier.
        initializer: the layer's. Of weights with a wide input it falls as 1 / sqrt(fan-in), as all
            of Mesh-TF's do; of others only a `VarianceScaling` does (Glorot's, TensorFlow's
            default: relative biases).
    """
    found = kind(name, shape)
    if found in ("hidden", "output", "narrow"):
        return m ** (0.5 - _DEVIATION[found])
    if not hasattr(initializer, "distribution"):
        return 1.0
    base = [dim.size / (m if _name(dim) in GROWING else 1.0) for dim in shape.dims]
    return math.sqrt(_fan(initializer.mode, shape.to_integer_list) / _fan(initializer.mode, base))


def rate(optimizer: Any, var: mtf.Variable, m: float) -> float:
    """Returns the factor of a weight's learning rate.

    Args:
        optimizer: the optimizer that updates it.
        var: the weight.
        m: the width multiplier.

    Raises:
        UsageError: it is not known how large the optimizer's updates are.
    """
    return m ** -_RATES[update_size(optimizer, var)][kind(var.name, var.shape)]


def update_size(optimizer: Any, var: mtf.Variable) -> UpdateSize:
    """Returns the size of an optimizer's updates of a weight.

    Args:
        optimizer: one with a method `update_size_of`, or one of Mesh-TF's.
        var: the weight.

    Raises:
        UsageError: it is not known.
    """
    found = None
    if hasattr(optimizer, "update_size_of"):
        found = optimizer.update_size_of(var)
    else:
        known = (size for cls, size in _OF_MESH_TF.items() if isinstance(optimizer, cls))
        found = next((size(optimizer, var) for size in known), None)
    if found is None:
        raise UsageError(
            f"base_width with utils.run.optimizer = @{class_name(optimizer)}: the size of its "
            f"updates is not known; give the class an attribute update_size, one of "
            f"{', '.join(_RATES)}, or set base_width = None"
        )
    return found


def _name(dim: mtf.Dimension) -> str:
    return dim.name.lstrip("_")


def _fan(mode: str, sizes: list[float]) -> float:
    """Returns the number by which VarianceScaling divides, for a weight of these sizes."""
    *others, inputs, outputs = sizes if len(sizes) > 1 else 2 * (sizes or [1.0])
    fan_in, fan_out = math.prod(others) * inputs, math.prod(others) * outputs
    return {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]


def _of_adafactor(optimizer: Any, var: mtf.Variable) -> UpdateSize:
    excluded = any(text in var.name for text in optimizer._exclude_from_parameter_scale)
    return "weight" if optimizer._multiply_by_parameter_scale and not excluded else "constant"


def _of_adam(optimizer: Any, var: mtf.Variable) -> UpdateSize:
    return "constant"


def _of_sgd(optimizer: Any, var: mtf.Variable) -> UpdateSize:
    return "gradient"


_OF_MESH_TF: dict[type, Callable[[Any, mtf.Variable], UpdateSize]] = {
    optimize.AdafactorOptimizer: _of_adafactor,
    optimize.AdamWeightDecayOptimizer: _of_adam,
    optimize.SgdOptimizer: _of_sgd,
    optimize.MomentumOptimizer: _of_sgd,
}
