"""LoRA (https://arxiv.org/abs/2106.09685): dense layers whose weights are frozen and get a product.

    y = x W + (alpha / rank) dropout(x) A B     A [inputs, rank], B [rank, outputs]

A begins as in the authors' code (PyTorch's Kaiming-uniform initializer with a = sqrt(5)), uniform
within 1 / sqrt(inputs) of 0, and B as zero, so that the model is at first the one without LoRA.
Only A and B are trained (`trained_weights`). Stacked weights (experts, ensembles) have a pair each.

The product is added where a layer multiplies by its weight, whatever the layer: Mesh-TF's dense
layers and the projections of attention call `mtf.layers.us_einsum`
(`primer.runtime.patches.fine_tuning`), and experts have products of their own. Other uses of a
weight (lookups in tables, norms, biases, convolutions, Transformer-XL's projection of distances)
have no LoRA.
"""

import copy
import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import build_mode, checks, graph_marks
from primer.errors import UsageError
from primer.parametrization import lora_weights

# The paper's choice, its section 7.1 (Wq and Wv).
TARGETS = ("q", "v")
RANK = "lora_rank"
# Of a graph: {name of a weight that a dense product has: whether it has LoRA}.
_PRODUCTS = ("primer/dense_products",)
# Names in a message.
_MOST_NAMES = 4


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of LoRA; `lora` has their meaning and legal values."""

    rank: int
    alpha: float
    targets: tuple[re.Pattern, ...]
    dropout: float

    @property
    def scale(self) -> float:
        """The factor of A B."""
        return self.alpha / self.rank

    def is_target(self, name: str) -> bool:
        """Returns whether a weight has LoRA, by its name in a checkpoint."""
        return any(target.search(name) for target in self.targets)


@gin.configurable(module="primer")
def lora(
    rank: int = 0,
    alpha: float | None = None,
    targets: Sequence[str] = TARGETS,
    dropout: float = 0.0,
) -> Settings | None:
    """Returns the settings of LoRA, or None without it.

    Args:
        rank: the columns of A; 0: no LoRA.
        alpha: the numerator of the product's factor alpha / rank; None: 2 * rank.
        targets: regular expressions of the weights that have LoRA. Each is matched to whole parts
            of a name, from the end: "q" is `.../SelfAttention/q`, "wi" `.../wi/kernel`, "wi.*" the
            two of a gated unit too, ".*" every dense layer's.
        dropout: the rate at which the inputs of A are dropped in training.

    Raises:
        UsageError: a setting has no such value.
    """
    checks.whole_number("lora.rank", rank, least=0)
    if not rank:
        return None
    if alpha is None:
        alpha = lora_weights.default_alpha(rank)
    checks.positive_number("lora.alpha", alpha, "a number above 0, or None for 2 * rank")
    if not isinstance(targets, (list, tuple)) or not targets:
        raise UsageError(f"lora.targets = {targets!r}: expected a list of regular expressions")
    for target in targets:
        checks.regular_expression("lora.targets", target)
    patterns = (re.compile(rf"(^|/)(?:{target})(/kernel)?$") for target in targets)
    rate = checks.number_from_zero("lora.dropout", dropout)
    if rate >= 1:
        raise UsageError(f"lora.dropout = {dropout!r}: expected a number below 1")
    return Settings(rank, float(alpha), tuple(patterns), rate)


def settings() -> Settings | None:
    """Returns the settings of LoRA that gin has, or None.

    Without a rank no configurable is called, so that nothing is recorded of such a model.
    """
    try:
        # A copy of a reference to a macro is its value.
        rank = copy.deepcopy(gin.query_parameter("lora.rank"))
    except ValueError:
        return None
    return None if rank == 0 else lora()


@dataclasses.dataclass(frozen=True)
class Factors:
    """The factors of a weight.

    Attributes:
        a: `[stacked..., inputs..., rank]`.
        b: `[stacked..., rank, outputs...]`.
        rank: the Dimension between them.
        scale: the factor of their product.
        dropout: the rate at which the inputs of A are dropped in training.
    """

    a: mtf.Tensor
    b: mtf.Tensor
    rank: mtf.Dimension
    scale: float
    dropout: float

    def dropped(self, x: mtf.Tensor) -> mtf.Tensor:
        """Returns the inputs of A, with dropout in training."""
        if not self.dropout or build_mode.mode() != "train":
            return x
        return mtf.dropout(x, is_training=True, rate=self.dropout)


def factors(
    weight: mtf.Tensor, inputs: Sequence[mtf.Dimension], outputs: Sequence[mtf.Dimension]
) -> Factors | None:
    """Returns the factors of a weight, which are made with its first product, or None.

    Args:
        weight: the weight as a layer has it, `[stacked..., inputs..., outputs...]`.
        inputs, outputs: the dimensions over which the product sums, and those that it makes.
    """
    variable = _variable(weight)
    chosen = settings()
    if variable is None or chosen is None:
        return None
    has_lora = chosen.is_target(variable.name)
    _products()[variable.name] = has_lora
    if not has_lora:
        return None
    stacked = [dim for dim in weight.shape.dims if dim not in [*inputs, *outputs]]
    if weight.shape.dims != [*stacked, *inputs, *outputs]:
        raise UsageError(
            f"lora.targets: the dimensions of {variable.name} {weight.shape} are not inputs first; "
            "leave it out of the targets"
        )
    rank = mtf.Dimension(RANK, chosen.rank)
    limit = mtf.Shape(list(inputs)).size ** -0.5
    random = tf.random_uniform_initializer(-limit, limit)
    a = _factor(variable, lora_weights.A, [*stacked, *inputs, rank], random)
    b = _factor(variable, lora_weights.B, [*stacked, rank, *outputs], tf.zeros_initializer())
    return Factors(a, b, rank, chosen.scale, chosen.dropout)


def with_product(
    y: mtf.Tensor, xs: Sequence[mtf.Tensor], multiply: Callable[..., mtf.Tensor]
) -> mtf.Tensor:
    """Returns the product y of an input and a weight, with LoRA's product added.

    Args:
        y: x W.
        xs: x and W, in any order; with others, y is returned as it is.
        multiply: the product that y is of, for x A.
    """
    if len(xs) != 2 or settings() is None:
        return y
    of_weight = [_variable(x) is not None for x in xs]
    if sum(of_weight) != 1:
        return y
    weight, x = (xs[1], xs[0]) if of_weight[1] else (xs[0], xs[1])
    inputs = [dim for dim in weight.shape.dims if dim not in y.shape.dims]
    outputs = [dim for dim in weight.shape.dims if dim in y.shape.dims and dim not in x.shape.dims]
    if not inputs or not outputs:
        return y
    found = factors(weight, inputs, outputs)
    if found is None:
        return y
    narrow = [dim for dim in y.shape.dims if dim not in outputs]
    x_a = multiply([found.dropped(x), found.a], mtf.Shape([*narrow, found.rank]))
    return y + mtf.einsum([x_a, found.b], y.shape) * found.scale


def check() -> None:
    """Refuses a target that is no weight of the model which the default graph has.

    Raises:
        UsageError: a target matches none of the dense layers' weights.
    """
    chosen = settings()
    if chosen is None or graph_marks.leaves_out_blocks():
        return
    names = list(_products())
    for target in chosen.targets:
        if any(target.search(name) for name in names):
            continue
        text = target.pattern.removeprefix("(^|/)(?:").removesuffix(")(/kernel)?$")
        parts = dict.fromkeys(name.removesuffix("/kernel").rsplit("/", 1)[-1] for name in names)
        raise UsageError(
            f"lora.targets: {text!r} is the weight of no dense layer; there are "
            f"{', '.join(parts) or 'none'} (`primer check` lists all names)"
        )


def _products() -> dict[str, bool]:
    found = tf.get_collection_ref(_PRODUCTS)
    if not found:
        found.append({})
    return found[0]


def _variable(weight: mtf.Tensor) -> mtf.Variable | None:
    """Returns the variable that a tensor is, or that it gathers, or None."""
    operation = weight.operation
    if isinstance(operation, mtf.ReshapeOperation):
        operation = operation.inputs[0].operation
    if not isinstance(operation, mtf.Variable) or not operation.trainable:
        return None
    is_whole = operation.shape.to_integer_list == weight.shape.to_integer_list
    return operation if is_whole and not lora_weights.is_factor(operation.name) else None


def _factor(
    variable: mtf.Variable, suffix: str, dims: list[mtf.Dimension], initializer: Any
) -> mtf.Tensor:
    """Returns a variable beside another one, of its types."""
    scope = variable.scope
    name = variable.name[len(scope.name) + 1 if scope.name else 0 :]
    with tf.variable_scope(scope, auxiliary_name_scope=False):
        return mtf.get_variable(
            variable.mesh,
            name + suffix,
            mtf.Shape(dims),
            dtype=variable.dtype,
            initializer=initializer,
        )
