"""Rotary positions: queries and keys are rotated by angles that grow with their position.

RoFormer (https://arxiv.org/abs/2104.09864), equation 34, with the pairs of channels of GPT-NeoX and
Llama. Of the d_kv channels of a head, the first r = fraction * d_kv rotate. With b = base and
angle(p, i) = p * b^(-2 i / r), channels i and i + r / 2 of x `[batch, length, heads, d_kv]` are

    y_i         = x_i cos(angle) - x_{i + r/2} sin(angle)
    y_{i + r/2} = x_{i + r/2} cos(angle) + x_i sin(angle)

at position p, and y = x in the other channels. The product of a query at p with a key at s depends
on p - s alone, so that positions of packed examples may count along the row. Angles and products
are float32 whatever the type of x: bfloat16 has eight bits, too few for a position above 256.
"""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import checks


def check(d_kv: int, base: float, fraction: float, layer: str = "MultiHeadAttention") -> None:
    """Checks the settings of rotary positions.

    Args:
        d_kv: the channels of a head.
        base: the base of the wavelengths.
        fraction: the fraction of a head's channels that rotate.
        layer: the name of the layer's class, for the message.

    Raises:
        ValueError: a setting is not valid.
    """
    checks.positive_number(f"{layer}.rotary_base", base, error=ValueError)
    setting = f"{layer}.rotary_fraction"
    checks.positive_number(setting, fraction, "a number above 0 and at most 1", ValueError)
    if fraction > 1:
        raise ValueError(f"{setting} = {fraction!r}: expected a number above 0 and at most 1")
    channels = fraction * d_kv
    if abs(channels - 2 * round(channels / 2)) > 1e-6 * d_kv:
        raise ValueError(
            f"{setting} = {fraction!r}: of d_kv = {d_kv} channels, {channels:g} would rotate; "
            f"expected an even whole number, as of fraction {2 * max(1, d_kv // 4) / d_kv:g}; "
            "change the fraction or d_kv"
        )


def rotate(
    x: mtf.Tensor,
    position: mtf.Tensor,
    key_dim: mtf.Dimension,
    base: float = 10000.0,
    fraction: float = 1.0,
) -> mtf.Tensor:
    """Returns x with its channels rotated, in the type of x.

    Args:
        x: queries or keys `[batch, length, heads, d_kv]`, `[batch, heads, d_kv]` in incremental
            mode; a layout may split all dimensions but d_kv.
        position: the positions, int32: `[length]`, `[batch, length]` or `[batch]`.
        key_dim: the Dimension d_kv.
        base: the base of the wavelengths.
        fraction: the fraction of the channels that rotate, as `check` accepts it.
    """
    channels = num_channels(key_dim, fraction)
    frequencies = [base ** (-2 * i / channels) for i in range(channels // 2)]
    return RotateOperation(x, position, key_dim, frequencies).outputs[0]


def num_channels(key_dim: mtf.Dimension, fraction: float) -> int:
    """Returns how many channels of a head rotate, the first ones."""
    return round(fraction * key_dim.size)


class RotateOperation(mtf.Operation):
    """Rotates channels i and i + n by `position * frequencies[i]`, for each i of the n frequencies.

    Composed of Mesh-TF's operations it takes an eighth to a quarter longer with its gradient (two
    cores, 8 x 512 tokens, 12 heads of 64), and 40 operations instead of 10. The gradient is the
    rotation back, which needs no value of the forward pass.
    """

    def __init__(
        self,
        x: mtf.Tensor,
        position: mtf.Tensor,
        key_dim: mtf.Dimension,
        frequencies: list[float],
        name: str = "rotary",
    ) -> None:
        """Makes the operation.

        Args:
            x: a Tensor `[..., d_kv]`, with the dimensions of `position` among its own.
            position: an int32 Tensor.
            key_dim: the Dimension d_kv, anywhere in x.
            frequencies: radians per position, one for each pair of channels.
            name: the operation's name.
        """
        super().__init__([x, position], name=name)
        self._key_dim = key_dim
        self._frequencies = frequencies
        self._outputs = [mtf.Tensor(self, x.shape, x.dtype)]
        self._splittable_dims, self._unsplittable_dims = (
            self._initialize_splittable_and_unsplittable_dims("splittable", [key_dim.name])
        )

    def gradient(self, grad_ys: list[mtf.Tensor]) -> list[mtf.Tensor | None]:
        """Returns the gradient of x, rotated back; positions have none."""
        frequencies = [-f for f in self._frequencies]
        back = RotateOperation(grad_ys[0], self.inputs[1], self._key_dim, frequencies)
        return [back.outputs[0], None]

    def lower(self, lowering: mtf.Lowering) -> None:
        """Rotates each slice by the positions of its own rows.

        Raises:
            ValueError: the layout splits d_kv.
        """
        mesh_impl = lowering.mesh_impl(self)
        if mesh_impl.tensor_dimension_to_mesh_axis(self._key_dim) is not None:
            raise ValueError(
                f"the layout splits {self._key_dim.name} over the mesh, and rotary positions "
                "combine the channels of a head; split heads, batch or length instead"
            )
        inputs = [lowering.tensors[tensor] for tensor in self.inputs]
        lowering.set_tensor_lowering(self.outputs[0], mesh_impl.slicewise(self._rotate, *inputs))

    def _rotate(self, x: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
        axis = self.inputs[0].shape.dims.index(self._key_dim)
        pairs = len(self._frequencies)
        sizes = [pairs, pairs, self._key_dim.size - 2 * pairs]
        first, second, *rest = tf.split(x, sizes if sizes[-1] else sizes[:2], axis)
        angle = self._angles(position)
        cos, sin = tf.cos(angle), tf.sin(angle)
        a, b = tf.cast(first, tf.float32), tf.cast(second, tf.float32)
        rotated = [tf.cast(y, x.dtype) for y in (a * cos - b * sin, b * cos + a * sin)]
        return tf.concat(rotated + rest, axis)

    def _angles(self, position: tf.Tensor) -> tf.Tensor:
        """Returns float32 angles with the dimensions of x, of size 1 where positions lack one."""
        dims, own = self.inputs[0].shape.dims, self.inputs[1].shape.dims
        position = tf.transpose(position, [own.index(dim) for dim in dims if dim in own])
        sizes = iter(position.shape.as_list())
        shape = [next(sizes) if dim in own else 1 for dim in dims]
        position = tf.cast(tf.reshape(position, shape), tf.float32)
        key_shape = [-1 if dim == self._key_dim else 1 for dim in dims]
        frequencies = tf.reshape(tf.constant(self._frequencies, tf.float32), key_shape)
        return position * frequencies
