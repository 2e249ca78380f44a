"""The router's logits and distribution, with the noise of each gate in training."""

import dataclasses
from collections.abc import Sequence

import mesh_tensorflow as mtf
from mesh_tensorflow.transformer import transformer

from primer.layers.experts import router, settings
from primer.layers.experts.gates import noisy


@dataclasses.dataclass(frozen=True)
class Scores:
    """Tensors `[tokens..., experts]`.

    Attributes:
        logits: those that choose.
        p: their softmax.
        noise: the noise of noisy top-k gating; None without it.
    """

    logits: mtf.Tensor
    p: mtf.Tensor
    noise: noisy.Noise | None = None


def compute(
    x: mtf.Tensor,
    experts_dim: mtf.Dimension,
    gating: settings.Gating,
    context: transformer.Context,
    name: str,
    outer_expert_dims: Sequence[mtf.Dimension] = (),
) -> Scores:
    """Returns the Scores of tokens.

    Args:
        x: a Tensor `[tokens..., d_model]`.
        experts_dim: the Dimension of the experts.
        gating: settings.Gating.
        context: a transformer.Context.
        name: the scope of the router's variables.
        outer_expert_dims: dimensions of x that have routers of their own.
    """
    released = gating.gating == "switch" and gating.fastmoe_workers is not None
    logits = router.logits(
        x,
        experts_dim,
        gating,
        context.train and not released,
        context.variable_dtype,
        name,
        outer_expert_dims,
    )  # [tokens..., experts]
    noise = None
    if released and context.train and gating.training.switch_policy == "input_jitter":
        logits += _fastmoe_jitter(logits, gating.switch_jitter)
    if gating.gating == "noisy":
        dtype = router.with_float32_activations(context.variable_dtype)
        # In evaluation too, so that its variable is there.
        drawn = noisy.draw(mtf.to_float(x), logits, experts_dim, dtype, f"{name}_noise")
        if context.train:
            logits, noise = drawn.noisy, drawn
    return Scores(logits, mtf.softmax(logits, experts_dim), noise)


def _fastmoe_jitter(logits: mtf.Tensor, jitter: float) -> mtf.Tensor:
    """Returns the noise that SwitchGate adds to logits, in 1 - jitter ... 1 + jitter."""
    shape = logits.shape
    return mtf.random_uniform(logits.mesh, shape, minval=1.0 - jitter, maxval=1.0 + jitter)
