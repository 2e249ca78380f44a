"""Moves products of queries with vectors of distances to the keys at these distances.

Transformer-XL (https://arxiv.org/abs/1901.02860), appendix B. Queries and keys end at the same
position: with n queries and m keys, query i is m - n + i - j positions after key j. For products x
`[..., n, distances]` of the distances m - 1, m - 2, ...

    y[..., i, j] = x[..., i, n - 1 - i + j]        [..., n, m]

A row has one number more than m, or more than that, so that all rows are moved at once: the numbers
of all rows in one, without the first n - 1, are the rows of y, each one shorter. Where the distance
is negative and x has none of it, y has the number of another query.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

# Dimensions that no layout splits: a slice has all queries and all distances.
_QUERIES, _KEYS = "unshifted_queries", "shifted_keys"


def shift(x: mtf.Tensor, query_dim: mtf.Dimension, memory_dim: mtf.Dimension) -> mtf.Tensor:
    """Returns `[..., query_dim, memory_dim]`.

    Args:
        x: a Tensor `[..., query_dim, distances]`; at least memory_dim.size + 1 distances.
        query_dim: the Dimension of the queries.
        memory_dim: the Dimension of the keys.
    """
    assert x.shape.dims[-2] == query_dim and x.shape.dims[-1].size > memory_dim.size, x.shape
    x = mtf.rename_dimension(x, query_dim.name, _QUERIES)
    y = ShiftOperation(x, mtf.Dimension(_KEYS, memory_dim.size)).outputs[0]
    return mtf.reshape(y, [*x.shape.dims[:-2], query_dim, memory_dim])


def at_distances(x: mtf.Tensor, index: mtf.Tensor, memory_dim: mtf.Dimension) -> mtf.Tensor:
    """Returns the products of each key's own distance, `[..., memory_dim]`.

    Args:
        x: a Tensor `[..., distances]`.
        index: an int32 Tensor with memory_dim and some of the other dimensions of x: the distance
            of each key, as its index in x.
        memory_dim: the Dimension of the keys.
    """
    return SelectOperation(x, index, memory_dim).outputs[0]


class _LastDimsOperation(mtf.Operation):
    """An operation on whole slices of the last dimensions; a layout may split all others."""

    def _set_output(self, shape: list[mtf.Dimension], whole: list[mtf.Dimension]) -> None:
        self._outputs = [mtf.Tensor(self, mtf.Shape(shape), self.inputs[0].dtype)]
        self._splittable_dims, self._unsplittable_dims = (
            self._initialize_splittable_and_unsplittable_dims(
                "splittable", [dim.name for dim in whole]
            )
        )

    def lower(self, lowering: mtf.Lowering) -> None:
        """Computes each slice by itself."""
        mesh_impl = lowering.mesh_impl(self)
        inputs = [lowering.tensors[tensor] for tensor in self.inputs]
        lowering.set_tensor_lowering(self.outputs[0], mesh_impl.slicewise(self._compute, *inputs))


class ShiftOperation(_LastDimsOperation):
    """Computes y from x `[..., queries, distances]`."""

    def __init__(self, x: mtf.Tensor, keys: mtf.Dimension, name: str = "relative_shift") -> None:
        """Makes the operation; `keys` is the last Dimension of its result."""
        super().__init__([x], name=name)
        self._set_output([*x.shape.dims[:-1], keys], [*x.shape.dims[-2:], keys])

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[mtf.Tensor]:
        """Returns the gradient of x: zero at the distances that no key has."""
        return ShiftBackOperation(grad_ys[0], self.inputs[0].shape.dims[-1]).outputs

    def _compute(self, x: tf.Tensor) -> tf.Tensor:
        *rest, queries, distances = x.shape.as_list()
        numbers = tf.reshape(x, [*rest, queries * distances])
        numbers = numbers[..., queries - 1 : queries * distances - 1]
        rows = tf.reshape(numbers, [*rest, queries, distances - 1])
        return rows[..., : self.outputs[0].shape.dims[-1].size]


class ShiftBackOperation(_LastDimsOperation):
    """Computes the gradient of x from that of y, and that of y from that of x."""

    def __init__(
        self, dy: mtf.Tensor, distances: mtf.Dimension, name: str = "relative_shift_back"
    ) -> None:
        """Makes the operation; `distances` is the last Dimension of its result."""
        super().__init__([dy], name=name)
        self._set_output([*dy.shape.dims[:-1], distances], [*dy.shape.dims[-2:], distances])

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[mtf.Tensor]:
        """Returns the gradient of dy."""
        return ShiftOperation(grad_ys[0], self.inputs[0].shape.dims[-1]).outputs

    def _compute(self, dy: tf.Tensor) -> tf.Tensor:
        *rest, queries, keys = dy.shape.as_list()
        distances = self.outputs[0].shape.dims[-1].size
        none = [[0, 0]] * len(rest)
        rows = tf.pad(dy, [*none, [0, 0], [0, distances - 1 - keys]])
        numbers = tf.reshape(rows, [*rest, queries * (distances - 1)])
        numbers = tf.pad(numbers, [*none, [queries - 1, 1]])
        return tf.reshape(numbers, [*rest, queries, distances])


class SelectOperation(_LastDimsOperation):
    """Selects numbers of the last dimension of x, for decoding; it has no gradient."""

    def __init__(
        self, x: mtf.Tensor, index: mtf.Tensor, keys: mtf.Dimension, name: str = "select_distances"
    ) -> None:
        """Makes the operation; arguments as for `at_distances`."""
        super().__init__([x, index], name=name)
        self._set_output([*x.shape.dims[:-1], keys], [x.shape.dims[-1]])

    def _compute(self, x: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
        dims, own = self.outputs[0].shape.dims, self.inputs[1].shape.dims
        index = tf.transpose(index, [own.index(dim) for dim in dims if dim in own])
        sizes = iter(index.shape.as_list())
        index = tf.reshape(index, [next(sizes) if dim in own else 1 for dim in dims])
        index = tf.broadcast_to(index, [*x.shape.as_list()[:-1], index.shape.as_list()[-1]])
        return tf.gather(x, index, axis=-1, batch_dims=len(dims) - 1)
