"""Products of sorted rows by the weights of their experts, on one processor.

    y_i = x_i W_e + b_e    with e = expert_i, 0 where expert_i stands for none

x `[rows, in]`, expert int32 `[rows]` ascending, W `[experts, in, out]`, b `[experts, out]`. A Form
has the product and its gradients; there are two, with the same results:

`BY_EXPERT` cuts the rows where the expert changes and makes one product for each expert. The cost
is that of the rows. Shapes depend on the data.

`IN_BLOCKS` has static shapes, as TPUs need them (MegaBlocks, https://arxiv.org/abs/2211.15841,
section 5): the rows of each expert fill blocks of BLOCK rows, the last of them up with zeros, and
every block is multiplied by a copy of its expert's weights. There are at most rows / BLOCK +
experts blocks, whatever the balance.
"""

import dataclasses
from collections.abc import Callable

import tensorflow.compat.v1 as tf

BLOCK = 128


@dataclasses.dataclass(frozen=True)
class Form:
    """A way to multiply.

    Attributes:
        multiply: (x, expert, kernel, bias or None) -> y `[rows, out]`.
        gradients: (x, expert, kernel, dy) -> the gradients of x, the kernel and the bias.
    """

    multiply: Callable[..., tf.Tensor]
    gradients: Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]


def _cut(x: tf.Tensor, expert: tf.Tensor, num_experts: int) -> list[tf.Tensor]:
    """Returns the rows of each expert, and at the end those of none."""
    # [experts + 1]
    counts = tf.math.bincount(expert, minlength=num_experts + 1, maxlength=num_experts + 1)
    return tf.split(x, counts, num=num_experts + 1)


def _join(parts: list[tf.Tensor], of_none: tf.Tensor, num_rows: int) -> tf.Tensor:
    """Returns the experts' rows and zeros for those of none, as one tensor."""
    size = parts[0].shape.as_list()[-1]
    zeros = tf.zeros([tf.shape(of_none)[0], size], parts[0].dtype)
    y = tf.concat([*parts, zeros], 0)
    y.set_shape([num_rows, size])
    return y


def _multiply_by_expert(
    x: tf.Tensor, expert: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None
) -> tf.Tensor:
    num_rows, num_experts = x.shape.as_list()[0], kernel.shape.as_list()[0]
    *parts, of_none = _cut(x, expert, num_experts)
    parts = [tf.matmul(part, w) for part, w in zip(parts, tf.unstack(kernel))]
    if bias is not None:
        parts = [part + b for part, b in zip(parts, tf.unstack(bias))]
    return _join(parts, of_none, num_rows)


def _gradients_by_expert(
    x: tf.Tensor, expert: tf.Tensor, kernel: tf.Tensor, dy: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    num_rows, num_experts = x.shape.as_list()[0], kernel.shape.as_list()[0]
    *x_parts, of_none = _cut(x, expert, num_experts)
    dy_parts = _cut(dy, expert, num_experts)[:-1]
    dx = [tf.matmul(d, w, transpose_b=True) for d, w in zip(dy_parts, tf.unstack(kernel))]
    dkernel = [tf.matmul(part, d, transpose_a=True) for part, d in zip(x_parts, dy_parts)]
    dbias = [tf.reduce_sum(d, 0) for d in dy_parts]
    return _join(dx, of_none, num_rows), tf.stack(dkernel), tf.stack(dbias)


BY_EXPERT = Form(_multiply_by_expert, _gradients_by_expert)


class _Blocks:
    """Where the rows are in the blocks.

    Attributes:
        count: the number of blocks.
        expert: `[blocks]`, the expert of each; any for an empty one.
    """

    def __init__(self, expert: tf.Tensor, num_experts: int) -> None:
        num_rows = expert.shape.as_list()[0]
        self.count = -(-num_rows // BLOCK) + num_experts
        # No bincount: the number of its bins is no constant for XLA.
        chosen = tf.equal(expert[:, None], tf.range(num_experts))  # [rows, experts]
        counts = tf.reduce_sum(tf.cast(chosen, tf.int32), 0)  # [experts]
        blocks = -(-counts // BLOCK)  # [experts]
        own = tf.minimum(expert, num_experts - 1)  # [rows]
        first_row = tf.gather(tf.cumsum(counts, exclusive=True), own)
        first_block = tf.gather(tf.cumsum(blocks, exclusive=True), own)
        number = tf.range(num_rows)
        # [rows], with a place of their own for the rows of none, behind the blocks.
        nowhere = self.count * BLOCK
        place = first_block * BLOCK + number - first_row
        self._place = tf.where(expert < num_experts, place, tf.fill([num_rows], nowhere))
        # [blocks * BLOCK], the row at each place, num_rows where there is none.
        rows = tf.fill([nowhere + 1], num_rows)
        rows = tf.tensor_scatter_nd_update(rows, self._place[:, None], number)
        self._row = rows[:-1]
        ends = tf.cumsum(blocks)  # [experts]
        found = tf.searchsorted(ends, tf.range(self.count), side="right")
        self.expert = tf.minimum(found, num_experts - 1)

    def fill(self, x: tf.Tensor) -> tf.Tensor:
        """Returns x `[rows, d]` in blocks `[blocks, BLOCK, d]`, zero where there is no row."""
        size = x.shape.as_list()[-1]
        with_zero = tf.concat([x, tf.zeros([1, size], x.dtype)], 0)
        return tf.reshape(tf.gather(with_zero, self._row), [self.count, BLOCK, size])

    def empty(self, blocks: tf.Tensor) -> tf.Tensor:
        """Returns the rows `[rows, d]` of blocks, zeros for the rows of none."""
        size = blocks.shape.as_list()[-1]
        flat = tf.reshape(blocks, [self.count * BLOCK, size])
        return tf.gather(tf.concat([flat, tf.zeros([1, size], blocks.dtype)], 0), self._place)

    def add_by_expert(self, x: tf.Tensor, num_experts: int) -> tf.Tensor:
        """Returns the sum of x `[blocks, ...]` over each expert's blocks, `[experts, ...]`."""
        return tf.math.unsorted_segment_sum(x, self.expert, num_experts)


def _multiply_in_blocks(
    x: tf.Tensor, expert: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None
) -> tf.Tensor:
    blocks = _Blocks(expert, kernel.shape.as_list()[0])
    y = tf.matmul(blocks.fill(x), tf.gather(kernel, blocks.expert))  # [blocks, BLOCK, out]
    if bias is not None:
        y += tf.gather(bias, blocks.expert)[:, None]
    return blocks.empty(y)


def _gradients_in_blocks(
    x: tf.Tensor, expert: tf.Tensor, kernel: tf.Tensor, dy: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    num_experts = kernel.shape.as_list()[0]
    blocks = _Blocks(expert, num_experts)
    x, dy = blocks.fill(x), blocks.fill(dy)
    dx = blocks.empty(tf.matmul(dy, tf.gather(kernel, blocks.expert), transpose_b=True))
    dkernel = blocks.add_by_expert(tf.matmul(x, dy, transpose_a=True), num_experts)
    return dx, dkernel, blocks.add_by_expert(tf.reduce_sum(dy, 1), num_experts)


IN_BLOCKS = Form(_multiply_in_blocks, _gradients_in_blocks)
