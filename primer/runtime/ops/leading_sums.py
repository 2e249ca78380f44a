"""Sums over leading dimensions as products with ones.

The gradients of biases and of scales of norms are sums over batch and length, `[batch, length, d]
-> [d]`, and those of biases of relative positions sums over the batch. TensorFlow's kernel takes
three to five times as long on a CPU as a product `[1, n] x [n, d]` with ones, which gives the same
sums; and in bfloat16 the product adds in float32. A TPU keeps Mesh-TF's form.
"""

import functools
import math
from types import ModuleType

import tensorflow.compat.v1 as tf

from primer.common import build_mode

# Elements from which a product pays.
_FEWEST = 2**13
_TYPES = (tf.float32, tf.bfloat16)


def patch(mesh_ops: ModuleType) -> None:
    """Replaces what lowers a sum in `mesh_tensorflow.ops`."""
    mesh_ops._reduce_helper = _by_product(mesh_ops._reduce_helper)


def _by_product(stock):
    @functools.wraps(stock)
    def reduce_helper(input_shape, output_shape, input_tensor_layout, reduction_fn_string="SUM"):
        of_slice, axes = stock(input_shape, output_shape, input_tensor_layout, reduction_fn_string)
        summed = input_shape.ndims - output_shape.ndims
        kept = input_shape.dims[summed:]
        is_leading = 0 < summed < input_shape.ndims and set(kept) == set(output_shape.dims)
        if not is_leading or reduction_fn_string != "SUM" or build_mode.for_tpu():
            return of_slice, axes
        order = [kept.index(dim) for dim in output_shape.dims]
        return functools.partial(_sum, of_slice, summed, order), axes

    return reduce_helper


def _sum(otherwise, summed, order, x):
    """Returns the sum of a slice over its first `summed` dimensions, the others in `order`."""
    sizes = x.shape.as_list()
    rows, columns = math.prod(sizes[:summed]), math.prod(sizes[summed:])
    if x.dtype not in _TYPES or rows * columns < _FEWEST or min(rows, columns) == 1:
        return otherwise(x)
    total = tf.matmul(tf.ones([1, rows], x.dtype), tf.reshape(x, [rows, columns]))
    total = tf.reshape(total, sizes[summed:])
    return total if order == sorted(order) else tf.transpose(total, order)
