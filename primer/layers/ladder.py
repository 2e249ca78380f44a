"""The numbers of sizes/ladder.gin, all set by the depth of the model.

The width is 64 * depth in heads of 64 channels (`primer.common.settings.ladder_depth` counts the
parameters).
"""

import gin

from primer.common import checks
from primer.common.settings.ladder_depth import HEAD_WIDTH


@gin.configurable
def ladder_size(depth: int) -> int:
    """Returns the size that the innermost gin scope names, for a model of `depth` layers.

    Args:
        depth: the number of layers.

    Raises:
        ValueError: the depth is not a whole number of 1 or more, or there is no size of the name.
    """
    expected = 'a whole number of layers, 1 or more, as in --gin_param="depth = 12"'
    checks.whole_number("depth", depth, expected=expected, error=ValueError)
    sizes = ladder_sizes(depth)
    name = (gin.current_scope() or [""])[-1]
    if name not in sizes:
        raise ValueError(
            f"@{name}/ladder_size(): there is no such size; expected a scope of {', '.join(sizes)}"
        )
    return sizes[name]


def ladder_sizes(depth: int) -> dict[str, int]:
    """Returns {size: number} of a model of `depth` layers.

    Args:
        depth: the number of layers, 1 or more.
    """
    width = HEAD_WIDTH * depth
    narrow = 3 * width // 4
    return {
        "d_model": width,
        "num_layers": depth,
        "num_heads": depth,
        "d_ff": 4 * width,
        # Two thirds of d_ff, as the multiple of 8 next to it: meshes split it, and matrix units
        # of accelerators work on multiples of 8.
        "d_ff_gated": 8 * round(width / 3),
        # A block with experts has four attention layers, one with convolutions (the Evolved
        # Transformer) 12/7 of the parameters of a block with attention.
        "num_switch_blocks": -(-depth // 4),
        "num_evolved_blocks": -(-7 * depth // 12),
        "d_model_narrow": narrow,
        "d_ff_12x": 12 * narrow,
        "d_ff_12x_gated": 8 * narrow,
    }
