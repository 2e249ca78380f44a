"""TensorFlow: a graph gets a new constant each time that a number or a shape is an operand.

Of the operations of a Mesh-TensorFlow step 30% are constants, most of them equal to an earlier one:
an axis, a permutation, a factor. The patch gives the same operation to equal small constants of one
graph, device and control flow. TensorFlow merges them before the first step anyway; the graph is
built and optimized in less time. Initial values stay apart: they may be fed, each for its variable.
"""

import functools
from collections.abc import Callable
from types import ModuleType

import numpy as np

from primer.common import build_mode

_MOST_VALUES = 8  # Permutations and shapes; the keys of larger constants would take long.
_NUMBERS = (bool, int, float, np.integer, np.floating)
_ATTRIBUTE = "_primer_constants"  # Of a graph: its constants end with it.


def patch(ops: ModuleType) -> None:
    """Patches `tensorflow.python.framework.ops._create_graph_constant`."""
    ops._create_graph_constant = _shared(ops._create_graph_constant, ops.get_default_graph)


def _shared(stock: Callable, default_graph: Callable) -> Callable:
    @functools.wraps(stock)
    def _create_graph_constant(value, dtype, shape, name, *args, **settings):
        is_operand = shape is None and name != "initial_value"  # Initializers give a shape.
        is_shared = is_operand and build_mode.mode() != "none" and not build_mode.for_tpu()
        values = _plain(value) if is_shared else None
        if values is None:
            return stock(value, dtype, shape, name, *args, **settings)
        graph = default_graph()
        key = (values, dtype, args, tuple(sorted(settings.items())), _place(graph))
        if not hasattr(graph, _ATTRIBUTE):
            setattr(graph, _ATTRIBUTE, {})
        known = getattr(graph, _ATTRIBUTE)
        if key not in known:
            known[key] = stock(value, dtype, shape, name, *args, **settings)
        return known[key]

    return _create_graph_constant


def _plain(value):
    """The type and the values of a small constant, or None for other ones."""
    if isinstance(value, _NUMBERS):
        return type(value), repr(value)
    if isinstance(value, np.ndarray):
        if value.size > _MOST_VALUES or value.dtype.kind not in "bif":
            return None
        return value.dtype.str, value.shape, value.tobytes()
    if not isinstance(value, list | tuple) or len(value) > _MOST_VALUES:
        return None
    if not all(isinstance(one, _NUMBERS) for one in value):
        return None
    return tuple(type(one) for one in value), repr(value)


def _place(graph):
    """What a new operation of a graph would get besides its inputs."""
    return (
        graph._get_control_flow_context(),
        frozenset(graph._current_control_dependencies()),
        tuple(spec.display_name for spec in graph._device_function_stack.peek_objs()),
        tuple(graph._colocation_stack.peek_objs()),
    )
