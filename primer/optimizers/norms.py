"""Norms over all weights at once."""

from collections.abc import Sequence

import mesh_tensorflow as mtf


def global_norm(tensors: Sequence[mtf.Tensor | None]) -> mtf.Tensor:
    """Returns the L2 norm of all tensors as one vector, a float32 scalar; None counts as zeros."""
    squares = [mtf.reduce_sum(mtf.square(mtf.to_float(t))) for t in tensors if t is not None]
    return mtf.sqrt(mtf.add_n(squares))
