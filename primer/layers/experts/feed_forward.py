"""The experts: feed-forward networks of one shape, each with its own weights.

    f_e(x) = act(x Wi_e + bi_e) Wo_e + bo_e        [..., d_model] -> [..., d_model]

with a product of several act(x Wi_e^j) for gated units, as DenseReluDense has it. Variables are
`wi/kernel` `[experts, d_model, expert_hidden]` (`wi_0`, `wi_1` for gated units) and `wo/kernel`
`[experts, expert_hidden, d_model]`, and with use_bias `wi/bias`, `wo/bias`. Here the weights, and
two ways to apply them: to places that each expert has (`on_places`), or to tokens that say by a
number which expert they want (`on_tokens`).
"""

import dataclasses
import functools

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import checks
from primer.layers.experts import selected_dense


@dataclasses.dataclass(frozen=True)
class FeedForward:
    """The settings of the experts, as DenseReluDense has them.

    Attributes:
        owner: the layer's name in gin, for messages.
        hidden_size: the width of the hidden layer of each expert.
        activation: a name of an activation in Mesh-TensorFlow, a function of Mesh-TensorFlow
            tensors, or a list of these, whose results are multiplied.
        dropout_rate: the fraction of the hidden layer that is dropped in training.
        use_bias: whether there are biases, as in dense layers.
    """

    owner: str
    hidden_size: int
    activation: object = "relu"
    dropout_rate: float = 0.0
    use_bias: bool = False

    def __post_init__(self):
        checks.whole_number(f"{self.owner}.hidden_size", self.hidden_size, error=ValueError)
        if not 0.0 <= self.dropout_rate < 1.0:
            raise ValueError(
                f"{self.owner}.dropout_rate = {self.dropout_rate!r}: expected a fraction, 0 or "
                "more and below 1"
            )
        for activation in self._activations:
            self._function(activation)

    @property
    def _activations(self):
        activation = self.activation
        return list(activation) if isinstance(activation, (list, tuple)) else [activation]

    def _function(self, activation):
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

    def on_places(self, x, experts_dims, model_dim, context):
        """Applies each expert to its own places: x is `[..., experts, ..., d_model]`."""

        def dense(x, weights):
            shape = x.shape - weights.in_dim + weights.out_dim
            y = mtf.layers.us_einsum([x, weights.kernel], shape)
            return y if weights.bias is None else y + weights.bias

        weights = self._weights(x, experts_dims, model_dim, context.variable_dtype)
        h = self._product([dense(x, w) for w in weights[:-1]])
        if context.train and self.dropout_rate:
            h = mtf.dropout(h, is_training=True, rate=self.dropout_rate)
        return dense(h, weights[-1])

    def on_tokens(self, x, indices, experts_dims, model_dim, variable_dtype):
        """Applies to each token the experts it names; no dropout, no gradient.

        Args:
            x: a Tensor `[tokens..., d_model]`.
            indices: int32 Tensors `[tokens..., choices...]`, one for each of experts_dims.
            experts_dims: a list of Dimensions that number the experts.
            model_dim: the last Dimension of x.
            variable_dtype: a mtf.VariableDType.

        Returns:
            a Tensor `[tokens..., choices..., d_model]`.
        """
        *inner, outer = self._weights(x, experts_dims, model_dim, variable_dtype)
        h = self._product([selected_dense.selected_dense(x, indices, w) for w in inner])
        return selected_dense.selected_dense(h, indices, outer)

    def _product(self, factors):
        functions = [self._function(activation) for activation in self._activations]
        return functools.reduce(mtf.multiply, [f(x) for f, x in zip(functions, factors)])

    def _weights(self, x, experts_dims, model_dim, variable_dtype):
        """The weights of each layer: one for each activation, then the output's."""
        hidden_dim = mtf.Dimension("expert_hidden", self.hidden_size)
        names = ["wi"]
        if len(self._activations) > 1:
            names = [f"wi_{i}" for i in range(len(self._activations))]

        def make(name, in_dim, out_dim):
            return self._make(x, name, experts_dims, in_dim, out_dim, variable_dtype)

        inner = [make(name, model_dim, hidden_dim) for name in names]
        return [*inner, make("wo", hidden_dim, model_dim)]

    def _make(self, x, name, experts_dims, in_dim, out_dim, variable_dtype):
        kernel = mtf.layers.get_dense_kernel_weights(
            x,
            new_dims=[out_dim],
            reduced_dims=[in_dim],
            expert_dims=experts_dims,
            kernel_initializer=None,
            name=name,
            variable_dtype=variable_dtype,
        )
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
                )
        return selected_dense.Weights(kernel, bias, in_dim, out_dim, experts_dims)
