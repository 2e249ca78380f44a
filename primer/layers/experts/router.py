"""The router: from a token's features to its probability for each expert.

Shazeer et al. (https://arxiv.org/abs/1701.06538), Switch Transformer
(https://arxiv.org/abs/2101.03961), section 2.1:

    p(x) = softmax(x W_r)          [..., d_model] -> [..., experts]

in float32, whatever the activations are (the paper's section 2.4). Multiplying the input by random
numbers near 1, or dropping parts of it, makes the router explore in training.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def logits(x, experts_dim, gating, train, variable_dtype, name, outer_expert_dims=()):
    """Returns x W_r, float32.

    Args:
        x: a Tensor `[..., d_model]`.
        experts_dim: the Dimension of the experts.
        gating: settings.Gating.
        train: whether noise is added.
        variable_dtype: a mtf.VariableDType.
        name: of the variable's scope.
        outer_expert_dims: dimensions of x that have weights of their own.
    """
    return mtf.layers.dense(
        noisy(mtf.to_float(x), gating, train),
        experts_dim,
        reduced_dims=x.shape.dims[-1:],
        expert_dims=list(outer_expert_dims),
        use_bias=False,
        variable_dtype=exact(variable_dtype),
        name=name,
    )


def exact(variable_dtype):
    """The same types of variables, used in float32; Mesh-TF's router rounds its weights first."""
    return mtf.VariableDType(variable_dtype.master_dtype, variable_dtype.slice_dtype, tf.float32)


def noisy(x, gating, train):
    """The router's input with the noise of the policy, in training."""
    policy = gating.phase(train).switch_policy
    if train and policy == "input_jitter":
        return mtf.layers.multiplicative_jitter(x, gating.switch_jitter)
    if train and policy == "input_dropout":
        return mtf.dropout(x, is_training=True, rate=gating.switch_dropout)
    return x


def z_loss(logits, experts_dim, real):
    """The mean over tokens of (log sum_e exp logit_e)^2: ST-MoE (2202.08906), equation 5.

    `real` `[...]` is 1 for the tokens that count, or None for all.
    """
    squares = mtf.square(mtf.reduce_logsumexp(logits, experts_dim))
    return mean(squares, real)


def entropy(logits, experts_dim, real):
    """The mean over tokens of the entropy of the router's distribution, in nats."""
    log_p = mtf.log_softmax(logits, experts_dim)
    return mean(mtf.reduce_sum(-mtf.exp(log_p) * log_p, reduced_dim=experts_dim), real)


def mean(x, real):
    """The mean of x `[...]` over the tokens that are real; 0 where there is none."""
    if real is None:
        return mtf.reduce_mean(x)
    real = mtf.broadcast(real, x.shape)
    return mtf.reduce_sum(x * real) / mtf.maximum(mtf.reduce_sum(real), 1.0)
