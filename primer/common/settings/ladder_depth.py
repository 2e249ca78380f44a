"""The ladder of sizes: how many parameters a depth makes, and which depth a number asks for.

The width is HEAD_WIDTH * depth. A block with a feed-forward layer of four times the width has
12 * width^2 parameters in its matrices, so that a model without its embedding has about

    12 * depth * (64 * depth)^2 = 49,152 * depth^3
"""

HEAD_WIDTH = 64


def parameters(depth: int) -> int:
    """Returns the parameters in the matrices of the layers of a model of `depth` layers."""
    return 12 * depth * (HEAD_WIDTH * depth) ** 2


def nearest(wanted: float) -> int:
    """Returns the depth, 1 or more, whose parameters are nearest to a number by their ratio."""
    depth = max(1, round((wanted / parameters(1)) ** (1 / 3)))
    near = [d for d in (depth - 1, depth, depth + 1) if d > 0]
    return min(near, key=lambda d: max(wanted / parameters(d), parameters(d) / wanted))
