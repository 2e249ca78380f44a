"""The matrices of a weight: one, one for each expert, or one for each head."""

from typing import NamedTuple

import mesh_tensorflow as mtf

from primer.errors import UsageError
from primer.parametrization import roles

# The dimension of a head's channels, taken out of a dimension that has those of all heads.
_CHANNELS = "head_channels"


class Matrices(NamedTuple):
    """A weight as a matrix, or as several that are stacked.

    Attributes:
        shape: the weight's dimensions, those of heads apart where each head is a matrix.
        rows: the input dimensions among them.
        columns: the output dimensions among them. All others are stacked.
    """

    shape: mtf.Shape
    rows: list[mtf.Dimension]
    columns: list[mtf.Dimension]

    @property
    def sizes(self) -> tuple[int, int]:
        """The numbers of rows and of columns of one matrix."""
        return mtf.Shape(self.rows).size, mtf.Shape(self.columns).size


def fused(shape: mtf.Shape) -> Matrices:
    """Returns a weight as one matrix, in which heads are channels like any other.

    Args:
        shape: of a weight that `roles` calls a matrix.
    """
    rows, columns = roles.matrix_sides(shape) or ([], [])
    return Matrices(shape, rows, columns)


def per_head(shape: mtf.Shape, head_size: int, weight: str) -> Matrices:
    """Returns a weight as one matrix for each head.

    `[d_model, heads, d_kv]` are `heads` matrices of `[d_model, d_kv]`, whether `heads` and `d_kv`
    are apart or one dimension. The heads are those of the outputs if the outputs have heads, else
    those of the inputs. A weight without heads is one matrix.

    Args:
        shape: of a weight that `roles` calls a matrix.
        head_size: d_kv, for weights in which it is not apart.
        weight: the weight's name, for messages.

    Raises:
        UsageError: the channels of all heads are no multiple of a head's.
    """
    whole = fused(shape)
    side = next(filter(_has_heads, (whole.columns, whole.rows)), None)
    if side is None:
        return whole
    if len(side) == 1:
        heads, channels = _apart(side[0], head_size, weight)
        shape = mtf.replace_dimensions(shape, side, [heads, channels])
    else:
        channels = side[-1]
    if side == whole.columns:
        return Matrices(shape, whole.rows, [channels])
    return Matrices(shape, [channels], whole.columns)


def _has_heads(side):
    return roles.plain_name(side[0]) in roles.HEADS[:-1]


def _apart(dim, head_size, weight):
    if dim.size % head_size:
        raise UsageError(
            f"MuonOptimizer.head_size = {head_size}: {weight} has {dim.size} channels of heads, "
            "which is no multiple of it; set it to the channels of one head (d_kv)"
        )
    return mtf.Dimension(dim.name, dim.size // head_size), mtf.Dimension(_CHANNELS, head_size)
