"""The router: the probability of each expert for a token.

Shazeer et al. (https://arxiv.org/abs/1701.06538), Switch Transformer
(https://arxiv.org/abs/2101.03961), section 2.1:

    p(x) = softmax(x W_r + b_r)    [..., d_model] -> [..., experts], b_r with router_bias

in float32, whatever type the activations have (the paper's section 2.4). Multiplying the input by
random numbers near 1, or dropping parts of it, makes the router explore in training.
"""

from collections.abc import Sequence

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.layers.experts import selected_dense, settings


def logits(
    x: mtf.Tensor,
    experts_dim: mtf.Dimension,
    gating: settings.Gating,
    train: bool,
    variable_dtype: mtf.VariableDType,
    name: str,
    outer_expert_dims: Sequence[mtf.Dimension] = (),
) -> mtf.Tensor:
    """Returns x W_r (+ b_r), float32 `[..., experts]`.

    Args:
        x: a Tensor `[..., d_model]`.
        experts_dim: the Dimension of the experts.
        gating: settings.Gating.
        train: whether to add noise to x.
        variable_dtype: a mtf.VariableDType.
        name: the scope of the variable.
        outer_expert_dims: dimensions of x that have weights of their own.
    """
    return mtf.layers.dense(
        add_noise(mtf.to_float(x), gating, train),
        experts_dim,
        reduced_dims=x.shape.dims[-1:],
        expert_dims=list(outer_expert_dims),
        use_bias=gating.has_router_bias,
        kernel_initializer=tf.zeros_initializer() if gating.gating == "noisy" else None,
        variable_dtype=with_float32_activations(variable_dtype),
        name=name,
    )  # [..., experts]


def logits_of_choices(
    x: mtf.Tensor,
    index: mtf.Tensor,
    outer_dim: mtf.Dimension,
    experts_dim: mtf.Dimension,
    variable_dtype: mtf.VariableDType,
    name: str,
) -> mtf.Tensor:
    """Returns the logits of the routers of the chosen groups of experts, without noise.

    Args:
        x: a Tensor `[tokens..., d_model]`.
        index: an int32 Tensor `[tokens..., choices]`, the group of each choice.
        outer_dim: the Dimension of the groups, each of which has weights of its own.
        experts_dim: the Dimension of the experts of a group.
        variable_dtype: a mtf.VariableDType.
        name: the scope of the variable.

    Returns:
        A float32 Tensor `[tokens..., choices, experts]`, which has no gradient.
    """
    x, model_dim = mtf.to_float(x), x.shape.dims[-1]
    kernel = mtf.layers.get_dense_kernel_weights(
        x,
        new_dims=[experts_dim],
        reduced_dims=[model_dim],
        expert_dims=[outer_dim],
        kernel_initializer=None,
        name=name,
        variable_dtype=with_float32_activations(variable_dtype),
    )  # [outer, d_model, experts]
    weights = selected_dense.Weights(kernel, None, model_dim, experts_dim, [outer_dim])
    return selected_dense.selected_dense(x, [index], weights)


def with_float32_activations(variable_dtype: mtf.VariableDType) -> mtf.VariableDType:
    """Returns the variable types with float32 activations; Mesh-TF's router rounds its weights."""
    return mtf.VariableDType(variable_dtype.master_dtype, variable_dtype.slice_dtype, tf.float32)


def add_noise(x: mtf.Tensor, gating: settings.Gating, train: bool) -> mtf.Tensor:
    """Returns the router's input `[..., d_model]`, in training with the noise of the policy."""
    policy = gating.phase(train).switch_policy
    if train and policy == "input_jitter":
        return mtf.layers.multiplicative_jitter(x, gating.switch_jitter)
    if train and policy == "input_dropout":
        return mtf.dropout(x, is_training=True, rate=gating.switch_dropout)
    return x


def z_loss(logits: mtf.Tensor, experts_dim: mtf.Dimension, real: mtf.Tensor | None) -> mtf.Tensor:
    """Returns the mean over tokens of (log sum_e exp logit_e)^2, a scalar.

    ST-MoE (https://arxiv.org/abs/2202.08906), equation 5.

    Args:
        logits: a Tensor `[..., experts]`.
        experts_dim: the Dimension of the experts.
        real: a Tensor `[...]`, 1 for the tokens that count, or None for all.
    """
    squares = mtf.square(mtf.reduce_logsumexp(logits, experts_dim))  # [...]
    return mean(squares, real)


def entropy(logits: mtf.Tensor, experts_dim: mtf.Dimension, real: mtf.Tensor | None) -> mtf.Tensor:
    """Returns the mean over tokens of the entropy of p, a scalar in nats; arguments as above."""
    return mean(entropies(logits, experts_dim), real)


def entropies(logits: mtf.Tensor, experts_dim: mtf.Dimension) -> mtf.Tensor:
    """Returns the entropy of each token's p, `[...]` in nats; arguments as above."""
    log_p = mtf.log_softmax(logits, experts_dim)  # [..., experts]
    return mtf.reduce_sum(-mtf.exp(log_p) * log_p, reduced_dim=experts_dim)


def mean(x: mtf.Tensor, real: mtf.Tensor | None) -> mtf.Tensor:
    """Returns the mean of x `[...]` over the tokens where `real` is 1; 0 if there are none."""
    if real is None:
        return mtf.reduce_mean(x)
    real = mtf.broadcast(real, x.shape)
    return mtf.reduce_sum(x * real) / mtf.maximum(mtf.reduce_sum(real), 1.0)  # []


def mean_by_expert(
    x: mtf.Tensor, experts_dim: mtf.Dimension, real: mtf.Tensor | None
) -> mtf.Tensor:
    """Returns the mean of x `[..., experts]` over the tokens where `real` is 1, `[experts]`."""
    if real is None:
        return mtf.reduce_mean(x, output_shape=[experts_dim])
    total = mtf.reduce_sum(x * real, output_shape=[experts_dim])
    return total / mtf.maximum(mtf.reduce_sum(real), 1.0)
