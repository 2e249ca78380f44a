"""Norms over all weights at once, and scalars of the events."""

from collections.abc import Sequence

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def global_norm(tensors: Sequence[mtf.Tensor | None]) -> mtf.Tensor:
    """Returns the L2 norm of all tensors as one vector, a float32 scalar; None counts as zeros."""
    squares = [mtf.reduce_sum(mtf.square(mtf.to_float(t))) for t in tensors if t is not None]
    return mtf.sqrt(mtf.add_n(squares))


def zero_unless(condition: mtf.Tensor, scalar: mtf.Tensor) -> mtf.Tensor:
    """Returns a scalar where a condition is true, and else 0, in place of NaN too."""
    values = [condition, scalar, mtf.zeros_like(scalar)]
    return mtf.cwise(tf.where_v2, values, output_dtype=scalar.dtype)
