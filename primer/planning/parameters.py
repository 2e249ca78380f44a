"""The trainable parameters of the model that gin describes, counted on the graph of training."""

import math

from primer.planning import run_graph


def parameter_shapes(vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every trainable variable.

    Args:
        vocabulary_size: the number of token ids; the model pads it to a multiple of 128.

    Returns:
        {name in a checkpoint: sizes}, in the order of the graph.
    """
    _, graph = run_graph.build_forward(vocabulary_size)
    return {v.name: tuple(v.shape.to_integer_list) for v in graph.trainable_variables}


def count_parameters(vocabulary_size: int) -> int:
    """Returns the number of trainable parameters, embedding included.

    Args:
        vocabulary_size: the number of token ids; the model pads it to a multiple of 128.
    """
    return sum(math.prod(shape) for shape in parameter_shapes(vocabulary_size).values())
