"""Variables of an optimizer's state: float32, 0 at first, saved, not trainable."""

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

_SCALAR = mtf.Shape([])


def slot(var: mtf.Variable, name: str, shape: mtf.Shape | None = None) -> mtf.Tensor:
    """Returns the value of a variable of an optimizer's state, in float32, 0 at first.

    Args:
        var: the weight.
        name: the name of the state, unique among an optimizer's.
        shape: its shape; None for the weight's.
    """
    return state(var.mesh, f"{var.name}_slot_{name}", var.shape if shape is None else shape)


def state(mesh: mtf.Mesh, name: str, shape: mtf.Shape = _SCALAR) -> mtf.Tensor:
    """Returns the value of a variable that belongs to no weight, in float32, 0 at first.

    Args:
        mesh: the mesh of the weights.
        name: the variable's name.
        shape: its shape.
    """
    return mtf.get_variable(
        mesh,
        name,
        shape,
        dtype=tf.float32,
        initializer=tf.zeros_initializer(),
        trainable=False,
    )


def momentum(
    grad: mtf.Tensor, var: mtf.Variable, share: float, nesterov: bool
) -> tuple[mtf.Tensor, list[mtf.Operation]]:
    """Returns a direction that accumulates gradients, and the assignment of the new momentum.

        m <- share * m + g;  the direction is m, or with nesterov g + share * m

    Args:
        grad: g in float32.
        var: the weight.
        share: the share of m that stays.
        nesterov: whether the direction looks one momentum ahead.
    """
    m = slot(var, "momentum")
    new_m = share * m + grad
    direction = grad + share * new_m if nesterov else new_m
    return direction, [mtf.assign(m, new_m)]
