"""Adafactor's update of a matrix in fewer passes over it.

Mesh-TF 0.1.21 makes nineteen passes over each weight matrix; the updates of a small model are then
a twentieth of its step. Here are eleven, with the same result (https://arxiv.org/abs/1804.04235,
algorithm 4): with squares S of the gradient G, and factors r of the rows and c of the columns,

    x = G r c / max(1, rms(G r c) / threshold),     size * rms(G r c)^2 = r^2 (S c^2),

so that only scalars and vectors are multiplied before the update itself. Vectors keep Mesh-TF's
update, and so does all on a TPU, where XLA fuses the passes.
"""

import functools
from types import ModuleType

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import build_mode
from primer.optimizers import norms


def patch(utils: ModuleType) -> None:
    """Replaces the update of matrices of `AdafactorOptimizer`, and the norm that it divides by.

    Args:
        utils: `mesh_tensorflow.transformer.utils`; with it Mesh-TF's package is complete.
    """
    optimize = utils.mtf.optimize
    optimize.reduce_rms = _in_one_pass(optimize.reduce_rms)
    adafactor = optimize.AdafactorOptimizer
    adafactor.apply_grad = _in_few_passes(adafactor.apply_grad)


def _in_one_pass(stock):
    @functools.wraps(stock)
    def reduce_rms(x, output_shape=None, **kwargs):
        if output_shape or kwargs or build_mode.for_tpu():
            return stock(mtf.to_float(x), output_shape=output_shape, **kwargs)
        return norms.root_mean_square(x)

    return reduce_rms


def _in_few_passes(stock):
    @functools.wraps(stock)
    def apply_grad(self, grad, var):
        dims = self._factored_dims(var.shape)
        if grad is None or not dims or build_mode.for_tpu():
            return stock(self, grad, var)
        return _update(self, mtf.to_float(grad), var, *dims)

    return apply_grad


def _update(optimizer, grad, var, d0, d1):
    """Returns the assignments of a variable whose second moments are factored over d0 and d1."""
    vr, vc = (_slot(var, name, var.shape - dim) for name, dim in (("vr", d0), ("vc", d1)))
    momentum = _slot(var, "m", var.shape) if optimizer._beta1 else None
    with tf.variable_scope(var.name + "/adafactor"):
        scale = _update_scale(optimizer, var)
        squares = mtf.square(grad)
        new_vr, new_vc = (_decayed(optimizer, slot, squares) for slot in (vr, vc))
        row = mtf.rsqrt(new_vr / mtf.reduce_mean(new_vr, reduced_dim=d1))
        column = mtf.rsqrt(new_vc)
        if optimizer._clipping_threshold is not None:
            scale /= _clipping(optimizer, squares, row, column)
        factors = mtf.multiply(row * scale, column, output_shape=var.shape)
        change = grad * factors
        updates = [mtf.assign(vr, new_vr), mtf.assign(vc, new_vc)]
        if momentum is not None:
            change = momentum * optimizer._beta1 + change * (1.0 - optimizer._beta1)
            updates.append(mtf.assign(momentum, change))
        # Not assign(var - change): with bfloat16 activations var is rounded.
        return [*updates, mtf.assign_sub(var, change)]


def _slot(var, name, shape):
    return mtf.get_variable(
        var.mesh,
        f"{var.name}_slot_{name}",
        shape,
        initializer=tf.zeros_initializer(),
        trainable=False,
    )


def _update_scale(optimizer, var):
    """Returns the learning rate, relative to the scale of the parameters unless it is excluded."""
    excluded = any(text in var.name for text in optimizer._exclude_from_parameter_scale)
    if excluded or not optimizer._multiply_by_parameter_scale:
        return mtf.ones(var.mesh, []) * optimizer._learning_rate
    return optimizer._parameter_scale(var.value) * optimizer._learning_rate


def _decayed(optimizer, slot, squares):
    """Returns the new second moments of rows or columns."""
    mean = mtf.reduce_mean(squares, output_shape=slot.shape) + optimizer._epsilon1
    return slot * optimizer._decay_rate + mean * (1.0 - optimizer._decay_rate)


def _clipping(optimizer, squares, row, column):
    """Returns max(1, rms(update) / threshold) before the learning rate."""
    of_rows = mtf.einsum([squares, mtf.square(column)], output_shape=row.shape)
    total = mtf.reduce_sum(of_rows * mtf.square(row))
    rms = mtf.sqrt(total * (1 / squares.shape.size))
    return mtf.maximum(1.0, rms / optimizer._clipping_threshold)
