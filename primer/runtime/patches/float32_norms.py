"""Mesh-TF 0.1.21: RMS norm and scale norm square, average and divide in the type of activations.

In bfloat16 each of the three roundings is an error of up to 0.4%, and the root of a row is wrong
for all of it. With the patch they compute in float32 and round the result alone, as `layer_norm`
does. The graphs of float32 activations stay as they are. An epsilon that would make a NaN is an
error.
"""

import functools
from collections.abc import Callable
from types import CellType, ModuleType
from typing import Any

import mesh_tensorflow as mtf
import tensorflow.compat.v1 as tf

from primer.common import checks

NORMS = ("sublayer_rms_norm", "sublayer_rms_norm_subsampled", "sublayer_scale_norm")


class _Float32Context:
    """A context whose variables are float32 in the graph, with all else of a layer's context."""

    def __init__(self, context: Any) -> None:
        self._context = context
        dtype = context.variable_dtype
        self.variable_dtype = mtf.VariableDType(dtype.master_dtype, dtype.slice_dtype, tf.float32)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def patch(transformer: ModuleType) -> None:
    """Patches the norms of `mesh_tensorflow.transformer.transformer`.

    gin keeps the functions that it calls in closures, and gin files name those.
    """
    for name in NORMS:
        cell = called_by_gin(getattr(transformer, name))
        cell.cell_contents = _in_float32(cell.cell_contents)


def called_by_gin(configurable: Any) -> CellType:
    """Returns the closure's cell of the function that a configurable of gin calls."""
    cells = zip(configurable.__code__.co_freevars, configurable.__closure__, strict=True)
    return dict(cells)["fn"]


def _in_float32(norm: Callable) -> Callable:
    @functools.wraps(norm)
    def in_float32(x, layer_stack, context, *args, **kwargs):
        if "epsilon" in kwargs:  # As gin passes it.
            checks.norm_epsilon(norm.__name__, kwargs["epsilon"])
        if x.dtype == tf.float32:
            return norm(x, layer_stack, context, *args, **kwargs)
        wide = mtf.cast(x, tf.float32)
        y = norm(wide, layer_stack, _Float32Context(context), *args, **kwargs)
        return mtf.cast(y, x.dtype)

    return in_float32
