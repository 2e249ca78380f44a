"""The nearest matrices with orthonormal rows or columns, approximately, by Newton-Schulz steps.

With X = U S V^T the steps return U S' V^T. Each step is an odd polynomial of X and so changes the
singular values only:

    X <- a X + b (X X^T) X + c (X X^T)^2 X

The coefficients of Keller Jordan's Muon (https://kellerjordan.github.io/posts/muon/) do not
converge to 1: they raise small singular values as fast as possible, and after five steps the
singular values are between 0.68 and 1.21 unless they were below 0.002 of X's Frobenius norm.
"""

import mesh_tensorflow as mtf

from primer.parametrization import roles

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
# Added to the norm, so that a matrix of zeros stays one.
EPSILON = 1e-7


def orthogonalized(
    x: mtf.Tensor, rows: list[mtf.Dimension], columns: list[mtf.Dimension], steps: int = 5
) -> mtf.Tensor:
    """Returns U S' V^T of a matrix U S V^T, of its shape and layout, in its own type of numbers.

    Products are between vectors of the shorter side, X X^T or X^T X. On a mesh that side is made
    whole once, before the first step; the larger one stays split, and each step then adds up its
    parts of one product. Where the larger side is not split, the steps need no communication.

    Args:
        x: the matrix, `[d_model, d_ff]`, `[heads, d_kv, d_model]`, ... Its dimensions that are on
            neither side are stacked: each index is a matrix of its own.
        rows: the dimensions of one side.
        columns: the dimensions of the other side.
        steps: the number of steps.
    """
    short, long = sorted((rows, columns), key=_cost)
    stacked = [dim for dim in x.shape.dims if dim not in [*rows, *columns]]
    norm = mtf.sqrt(mtf.reduce_sum(mtf.square(x), output_shape=mtf.Shape(stacked)))  # [stacked]
    x /= norm + EPSILON
    first, second, third = (_whole(short, number) for number in range(3))
    x = _renamed(x, short, first)  # [stacked, first, long]
    for _ in range(steps):
        x = _step(x, stacked, first, second, third)
    return _renamed(x, first, short)


def _step(x, stacked, first, second, third):
    """Returns the matrix after a step; first, second, third: names of the same short side."""
    a, b, c = COEFFICIENTS
    same = _renamed(x, first, second)  # [stacked, second, long]
    # Mesh-TF delays sums over devices, and would add up each of the Gram matrix's two uses.
    gram = mtf.identity(mtf.einsum([x, same], mtf.Shape([*stacked, *first, *second])))
    # It is symmetric: the product with its transpose is its square.
    square = mtf.einsum([gram, _renamed(gram, first, third)], mtf.Shape([*stacked, *first, *third]))
    factor = b * gram + c * _renamed(square, third, second)  # [stacked, first, second]
    return a * x + mtf.einsum([factor, same], x.shape)


def _cost(side):
    """Returns a key that sorts sides: shorter ones first, of equal ones that of d_model.

    Layouts rather split the other one (heads, d_ff), and the longer side may stay split.
    """
    is_hidden = not any(roles.plain_name(dim) == "d_model" for dim in side)
    return mtf.Shape(side).size, is_hidden


def _whole(dims, number):
    """Returns dimensions of the same sizes under names that no layout splits."""
    return [
        mtf.Dimension(f"newton_schulz_{number}_{position}", dim.size)
        for position, dim in enumerate(dims)
    ]


def _renamed(x, old, new):
    """Returns a tensor with other names for some of its dimensions."""
    names = dict(zip(old, new, strict=True))
    return mtf.reshape(x, mtf.Shape([names.get(dim, dim) for dim in x.shape.dims]))
