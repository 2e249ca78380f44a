"""Vectors of distances: sinusoids, and rows of a learned table.

Sinusoids (https://arxiv.org/abs/1901.02860, 3.3, with the channels of the authors' code): of a
distance t, channel k of the first half is sin(t w_k) and channel k of the second cos(t w_k), with
w_k = 10000^(-2k / d_model).

The last row of a learned table is that of distance 0, the row before it that of 1 and so on; longer
distances than there are rows have the first one.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf


def check_width(model_dim: mtf.Dimension) -> None:
    """Raises a ValueError if d_model is odd."""
    if model_dim.size % 2:
        raise ValueError(
            f"d_model = {model_dim.size}: the sinusoids of Transformer-XL's positions have a sine "
            "and a cosine for each wavelength; choose an even d_model, or other positions"
        )


def sinusoids(distance: mtf.Tensor, model_dim: mtf.Dimension) -> mtf.Tensor:
    """Returns float32 vectors `[..., d_model]`, of which a layout may split any dimension.

    Args:
        distance: a float32 Tensor `[...]`.
        model_dim: the Dimension d_model.

    Raises:
        ValueError: d_model is odd.
    """
    check_width(model_dim)
    half, mesh = model_dim.size // 2, distance.mesh
    # Not float32 powers: an error of a rate is multiplied by distances of thousands.
    rates = tf.constant(2 * [10000.0 ** (-k / half) for k in range(half)], tf.float32)
    rate = mtf.import_tf_tensor(mesh, rates, mtf.Shape([model_dim]))  # [d_model]
    channel = mtf.range(mesh, model_dim, tf.int32)
    is_cosine = mtf.cast(mtf.greater_equal(channel, half), tf.float32)  # [d_model]
    shape = mtf.Shape([*distance.shape.dims, model_dim])
    angle = mtf.einsum([distance, rate], shape)
    return mtf.sin(angle) * (1.0 - is_cosine) + mtf.cos(angle) * is_cosine


def rows(table: mtf.Tensor, table_dim: mtf.Dimension, first: int, dim: mtf.Dimension) -> mtf.Tensor:
    """Returns the rows of the distances first, first - 1, ..., with `dim` in place of table_dim.

    Args:
        table: a Tensor `[..., table_dim, ...]`.
        table_dim: the Dimension of the rows; `shortened` leaves out those of longer distances.
        first: the longest distance.
        dim: the Dimension of the result; negative distances have zeros.
    """
    last = first - dim.size + 1  # The shortest distance.
    begin, end = max(0, table_dim.size - 1 - first), table_dim.size - max(0, last)
    parts = [mtf.slice(table, begin, end - begin, table_dim.name)] if end > begin else []
    longer = dim.size - max(0, -last) - max(0, end - begin)
    if longer > 0:
        farthest = mtf.slice(table, 0, 1, table_dim.name)
        parts.insert(0, _repeated(farthest, table_dim.name, longer))
    found = mtf.concat(parts, table_dim.name) if len(parts) > 1 else parts[0]
    found = mtf.pad(found, [0, max(0, -last)], table_dim.name) if last < 0 else found
    return mtf.rename_dimension(found, table_dim.name, dim.name)


def shortened(
    table: mtf.Tensor, table_dim: mtf.Dimension, limit: int | None
) -> tuple[mtf.Tensor, mtf.Dimension]:
    """Returns the rows of the distances 0 .. limit - 1 and their Dimension; all without a limit."""
    if limit is None or limit >= table_dim.size:
        return table, table_dim
    table = mtf.slice(table, table_dim.size - limit, limit, table_dim.name)
    return table, mtf.Dimension(table_dim.name, limit)


def _repeated(x: mtf.Tensor, name: str, times: int) -> mtf.Tensor:
    shape = mtf.Shape([mtf.Dimension(name, times) if d.name == name else d for d in x.shape.dims])
    x = mtf.reshape(x, x.shape - x.shape.get_dim_by_name(name))
    return mtf.broadcast(x, shape)
