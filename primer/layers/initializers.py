"""Initial values by the role of a variable, for all layers at once.

A layer draws its matrices with its own spread, such as 1 / sqrt(fan-in). The GPT family has one
standard deviation for all of them. Five roles:

    positions    the table of learned positions
    projections  those of AdaptiveEmbedding, between its vectors and the model's width
    biases       the tables of T5's relative biases
    residual     the last matrix of a layer, whose product is added to the residual stream: divided
                 by sqrt(number of layers) in GPT-2 (N layers are N / 2 blocks of two), or zero
    others       matrices and embeddings

Queries whose initial values carry the factor d_kv^-0.5 of the logits (T5) keep it: otherwise the
model would compute without it. The taps of convolutions, random ones (EvolvedConvolution) too,
LoRA's factors, and all constant initial values, those of scales and biases, stay as they are set.
"""

import copy
import re
from typing import Any

import gin
import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import checks, graph_marks
from primer.parametrization import lora_weights, mup, roles

RESIDUAL_INITIALIZERS = (None, "scaled_by_depth", "zero")

# The names of variables below a layer, which are Mesh-TensorFlow's.
_POSITIONS = re.compile(r"(^|/)positional_embedding$")
_PROJECTIONS = re.compile(r"(^|/)(embedding_|logits/)projection(_\d+)?$")
_RELATIVE_BIASES = re.compile(r"(^|/)relative_attention_bias$")
_TAPS = re.compile(r"(^|/)depthwise_conv_hack/")
_RESIDUAL = re.compile(
    r"(^|/)(o"  # Attention.
    r"|wo/kernel"  # Feed-forward layers and experts.
    r"|sep_conv7x1_2/separable_conv1d/pointwise_dense/kernel)$"  # EvolvedConvolution.
)


@gin.configurable
def weight_initializer(
    name: str,
    initializer: Any,
    shape: mtf.Shape,
    weight_stddev: float | None = None,
    position_stddev: float | None = None,
    residual_initializer: str | None = None,
    width_multiplier: float | None = None,
    projection_stddev: float | None = None,
    relative_bias_stddev: float | str | None = None,
) -> Any:
    """Returns the initializer of a variable, for `initial_values.initializer`.

    Args:
        name: the variable's name in a checkpoint.
        initializer: the layer's own, a TensorFlow initializer.
        shape: the variable's shape.
        weight_stddev: the standard deviation of the normal distribution of random values, which is
            not truncated; None for the layer's own distribution. Of queries with a factor in their
            initial values (`logit_factor`) it is multiplied by that.
        position_stddev: that of learned positions; None for weight_stddev.
        residual_initializer: None, "scaled_by_depth" or "zero", for the matrices of role residual.
        width_multiplier: m, by which the deviations of a base width are carried over
            (`primer.parametrization.mup`); None: they are not.
        projection_stddev: that of projections of AdaptiveEmbedding; None for weight_stddev.
        relative_bias_stddev: that of relative biases: a number, "rsqrt" (of the size of the table),
            or None for weight_stddev.

    Raises:
        ValueError: a setting has no such value, or the number of layers is not known.
    """
    own: dict[str, tuple[re.Pattern, Any]] = {
        "relative_bias_stddev": (_RELATIVE_BIASES, _of_table(relative_bias_stddev, shape)),
        "position_stddev": (_POSITIONS, position_stddev),
        "projection_stddev": (_PROJECTIONS, projection_stddev),
    }
    _check({"weight_stddev": weight_stddev, **{key: own[key][1] for key in own}})
    _check_residual(residual_initializer)
    if not is_random(initializer) or _TAPS.search(name) or lora_weights.is_factor(name):
        return initializer
    is_residual = bool(_RESIDUAL.search(name))
    if is_residual and residual_initializer is not None:
        _say_if_normalized(residual_initializer)
    if is_residual and residual_initializer == "zero":
        return tf.zeros_initializer()
    stddev = weight_stddev
    for pattern, value in own.values():
        if value is not None and pattern.search(name):
            stddev = value
    if stddev is not None:
        stddev *= getattr(initializer, "logit_factor", 1.0)
        if width_multiplier is not None:
            stddev *= mup.deviation(name, shape, width_multiplier)
        initializer = tf.random_normal_initializer(stddev=stddev)
    elif width_multiplier is not None:
        factor = mup.own_deviation(name, shape, width_multiplier, initializer)
        initializer = initializer if factor == 1.0 else Scaled(initializer, factor)
    if is_residual and residual_initializer == "scaled_by_depth":
        return Scaled(initializer, _number_of_layers() ** -0.5)
    return initializer


def _of_table(stddev, shape):
    """Returns a deviation, "rsqrt" as that of the size of a table, without stacked dimensions."""
    if stddev != "rsqrt":
        return stddev
    stacked = roles.stacked_dims(shape)
    return mtf.Shape([dim for dim in shape.dims if dim not in stacked]).size ** -0.5


def is_random(initializer: Any) -> bool:
    """Returns whether an initializer draws values: it has a seed, or is TensorFlow's default."""
    return initializer is None or hasattr(initializer, "seed")


class QueryInitializer(tf.random_normal_initializer):
    """A normal distribution that has a factor of the logits of attention in its deviation.

    Args:
        stddev: the standard deviation, with the factor.
        logit_factor: the factor.
    """

    def __init__(self, stddev: float, logit_factor: float) -> None:
        super().__init__(stddev=stddev)
        self.logit_factor = logit_factor


class QueryKernelInitializer(mtf.layers.VarianceScalingInitializer):
    """Mesh-TF's initial values of a dense layer times a factor of the logits of attention.

    Args:
        logit_factor: the factor.
    """

    def __init__(self, logit_factor: float) -> None:
        super().__init__()
        self.scale *= logit_factor**2
        self._logit_factor = logit_factor

    def __call__(self, reduced_dims: list[mtf.Dimension], new_dims: list[mtf.Dimension]) -> Any:
        """Returns the initializer of a kernel `[reduced_dims, new_dims]`."""
        initializer = super().__call__(reduced_dims, new_dims)
        initializer.logit_factor = self._logit_factor
        return initializer


class Scaled:
    """An initializer whose values are those of another one times a factor.

    Attributes:
        seed: the seed of the other one.
    """

    def __init__(self, initializer: Any, factor: float) -> None:
        self._initializer = initializer or tf.glorot_uniform_initializer()
        self._factor = factor
        self.seed = self._initializer.seed

    def __call__(self, shape: Any, dtype: Any = None, partition_info: Any = None) -> tf.Tensor:
        """Returns the values of a variable, as TensorFlow calls an initializer."""
        initializer = copy.copy(self._initializer)
        initializer.seed = self.seed
        return initializer(shape, dtype=dtype, partition_info=partition_info) * self._factor


def _check(deviations):
    for name, value in deviations.items():
        if value is not None:
            expected = "a number above 0, or None for the layers' own initial values"
            checks.positive_number(f"weight_initializer.{name}", value, expected, ValueError)


def _check_residual(residual_initializer):
    if residual_initializer not in RESIDUAL_INITIALIZERS:
        raise ValueError(
            f"weight_initializer.residual_initializer = {residual_initializer!r}: expected None, "
            '"scaled_by_depth" or "zero"'
        )


def _say_if_normalized(residual_initializer):
    # norm(x W) is the same for every size of W, and its gradient by W is divided by that size; at
    # W = 0 by the root of the norm's epsilon.
    if graph_marks.has_normalized_output():
        graph_marks.add_remark(
            f'residual_initializer = "{residual_initializer}" where the stack normalizes the '
            "outputs of layers: the norm undoes small initial values, and the gradients of these "
            "matrices grow instead; set it to None, or layer_stack = @PreNormLayerStack"
        )


def _number_of_layers():
    number = graph_marks.residual_layers()
    if number is None:
        raise ValueError(
            'residual_initializer = "scaled_by_depth" needs the number of layers, which only '
            "TokenEmbedding and AdaptiveEmbedding record; set "
            "get_vocab_embedding_cls.cls = @TokenEmbedding"
        )
    return number
