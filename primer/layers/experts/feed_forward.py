"""The experts: feed-forward networks of one shape, each with its own weights.

    f_e(x) = act(x Wi_e + bi_e) Wo_e + bo_e        [..., d_model] -> [..., d_model]

with a product of several act(x Wi_e^j) for gated units, as in DenseReluDense; Shazeer et al.
(https://arxiv.org/abs/1701.06538). Variables are `wi/kernel` `[experts, d_model, expert_hidden]`
(`wi_0`, `wi_1` for gated units) and `wo/kernel` `[experts, expert_hidden, d_model]`, and with
use_bias `wi/bias`, `wo/bias`. This module has the weights and the ways to apply them: to the slots
of each expert (`on_slots`), to tokens with the index of their experts (`on_tokens`), or with
another function that multiplies (`apply`).
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf
from mesh_tensorflow.transformer import transformer

from primer.common import checks
from primer.layers.experts import selected_dense


@dataclasses.dataclass(frozen=True)
class FeedForward:
    """The settings of the experts, as for DenseReluDense.

    Attributes:
        owner: the layer's name in gin, for messages.
        hidden_size: the width of the hidden layer of each expert.
        activation: a name of an activation in Mesh-TensorFlow, a function of Mesh-TensorFlow
            tensors, or a list of these, whose results are multiplied.
        dropout_rate: the fraction of the hidden layer that is dropped in training.
        use_bias: whether there are biases, as in dense layers.

    Raises:
        ValueError: the first setting that is invalid.
    """

    owner: str
    hidden_size: int
    activation: object = "relu"
    dropout_rate: float = 0.0
    use_bias: bool = False

    def __post_init__(self) -> None:
        checks.whole_number(f"{self.owner}.hidden_size", self.hidden_size, error=ValueError)
        if not 0.0 <= self.dropout_rate < 1.0:
            raise ValueError(
                f"{self.owner}.dropout_rate = {self.dropout_rate!r}: expected a fraction, 0 or "
                "more and below 1"
            )
        for activation in self._activations:
            self._function(activation)

    @property
    def _activations(self) -> list[object]:
        activation = self.activation
        return list(activation) if isinstance(activation, (list, tuple)) else [activation]

    def _function(self, activation: object) -> Callable[[mtf.Tensor], mtf.Tensor]:
        """Returns the function of an activation, which may be a name."""
        if activation is None or activation == "linear":
            return lambda x: x
        function = getattr(mtf, activation, None) if isinstance(activation, str) else activation
        if not callable(function):
            raise ValueError(
                f"{self.owner}.activation = {self.activation!r}: {activation!r} is not a function "
                "of mesh_tensorflow; expected names such as 'relu', 'gelu', 'swish', 'linear', "
                "or configurables such as @squared_relu"
            )
        return function

    def on_slots(
        self,
        x: mtf.Tensor,
        experts_dims: Sequence[mtf.Dimension],
        model_dim: mtf.Dimension,
        context: transformer.Context,
    ) -> mtf.Tensor:
        """Applies each expert to its own slots.

        Args:
            x: a Tensor `[experts, ..., expert_capacity, d_model]`.
            experts_dims: the Dimensions of x that number the experts.
            model_dim: the last Dimension of x.
            context: a transformer.Context.

        Returns:
            A Tensor with the shape of x.
        """

        def dense(x: mtf.Tensor, weights: selected_dense.Weights) -> mtf.Tensor:
            shape = x.shape - weights.in_dim + weights.out_dim
            y = mtf.layers.us_einsum([x, weights.kernel], shape)
            return y if weights.bias is None else y + weights.bias

        return self.apply(dense, x, experts_dims, model_dim, context)

    def apply(
        self,
        dense: Callable[[mtf.Tensor, selected_dense.Weights], mtf.Tensor],
        x: mtf.Tensor,
        experts_dims: Sequence[mtf.Dimension],
        model_dim: mtf.Dimension,
        context: transformer.Context,
    ) -> mtf.Tensor:
        """Applies the experts with a function that multiplies by the weights of each.

        Dropout is that of the hidden layer, after the activation. FastMoE's example has it before
        its ReLU, which is the same: max(c h, 0) = c max(h, 0) for c >= 0.

        Args:
            dense: (x, selected_dense.Weights) -> y, x in the shape of x with the weights' out_dim.
            x: a Tensor `[..., d_model]`.
            experts_dims: the Dimensions that number the experts.
            model_dim: the last Dimension of x.
            context: a transformer.Context.

        Returns:
            A Tensor with the shape of x.
        """
        weights = self._weights(x, experts_dims, model_dim, context.variable_dtype)
        h = self._activate([dense(x, w) for w in weights[:-1]])  # [..., expert_hidden]
        if context.train and self.dropout_rate:
            h = mtf.dropout(h, is_training=True, rate=self.dropout_rate)
        return dense(h, weights[-1])  # [..., d_model]

    def on_tokens(
        self,
        x: mtf.Tensor,
        indices: Sequence[mtf.Tensor],
        experts_dims: Sequence[mtf.Dimension],
        model_dim: mtf.Dimension,
        variable_dtype: mtf.VariableDType,
    ) -> mtf.Tensor:
        """Applies to each token the experts that it chose; without dropout and gradient.

        Args:
            x: a Tensor `[tokens..., d_model]`.
            indices: int32 Tensors `[tokens..., choices...]`, one for each of experts_dims.
            experts_dims: a list of Dimensions that number the experts.
            model_dim: the last Dimension of x.
            variable_dtype: a mtf.VariableDType.

        Returns:
            A Tensor `[tokens..., choices..., d_model]`.
        """
        *inner, outer = self._weights(x, experts_dims, model_dim, variable_dtype)
        # [tokens..., choices..., expert_hidden]
        h = self._activate([selected_dense.selected_dense(x, indices, w) for w in inner])
        # [tokens..., choices..., d_model]
        return selected_dense.selected_dense(h, indices, outer)

    def _activate(self, factors: Sequence[mtf.Tensor]) -> mtf.Tensor:
        """Applies each activation to its factor, and multiplies the results."""
        functions = [self._function(activation) for activation in self._activations]
        return functools.reduce(mtf.multiply, [f(x) for f, x in zip(functions, factors)])

    def _weights(
        self,
        x: mtf.Tensor,
        experts_dims: Sequence[mtf.Dimension],
        model_dim: mtf.Dimension,
        variable_dtype: mtf.VariableDType,
    ) -> list[selected_dense.Weights]:
        """Creates the weights: one of the hidden layer per activation, then the output's."""
        hidden_dim = mtf.Dimension("expert_hidden", self.hidden_size)
        names = ["wi"]
        if len(self._activations) > 1:
            names = [f"wi_{i}" for i in range(len(self._activations))]

        def create(
            name: str, in_dim: mtf.Dimension, out_dim: mtf.Dimension
        ) -> selected_dense.Weights:
            return self._dense_weights(x, name, experts_dims, in_dim, out_dim, variable_dtype)

        inner = [create(name, model_dim, hidden_dim) for name in names]
        return [*inner, create("wo", hidden_dim, model_dim)]

    def _dense_weights(
        self,
        x: mtf.Tensor,
        name: str,
        experts_dims: Sequence[mtf.Dimension],
        in_dim: mtf.Dimension,
        out_dim: mtf.Dimension,
        variable_dtype: mtf.VariableDType,
    ) -> selected_dense.Weights:
        kernel = mtf.layers.get_dense_kernel_weights(
            x,
            new_dims=[out_dim],
            reduced_dims=[in_dim],
            expert_dims=experts_dims,
            kernel_initializer=None,
            name=name,
            variable_dtype=variable_dtype,
        )  # [experts, in, out]
        bias = None
        if self.use_bias:
            with tf.variable_scope(name):
                shape = mtf.Shape([*experts_dims, out_dim])
                bias = mtf.get_variable(
                    x.mesh,
                    "bias",
                    shape,
                    initializer=tf.zeros_initializer(),
                    dtype=variable_dtype,
                )  # [experts, out]
        return selected_dense.Weights(kernel, bias, in_dim, out_dim, experts_dims)
