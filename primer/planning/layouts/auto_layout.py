"""Mesh-TensorFlow's own search for a layout, `mesh_tensorflow.auto_mtf`: GPT-Neo's "auto_layout".

It writes an integer program, in which the largest memory of a device is least, and solves it with
ortools. Memory is all that it knows: not the time of collectives, and of several layouts with the
same memory it takes the one that splits the most dimensions.
"""

import contextlib
import importlib
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import mesh_tensorflow as mtf

from primer.errors import UsageError
from primer.planning.layouts import integer_program, notation

_MODULE = "ortools.sat.python"


def layout_of(
    graph: mtf.Graph, mesh: Mapping[str, int], outputs: Sequence[mtf.Tensor] = ()
) -> tuple[dict[str, str], float]:
    """Returns the layout that auto_mtf finds for a mesh, {dimension: axis}, and its memory.

    The memory is auto_mtf's own estimate in bytes, by which it compares meshes.

    Args:
        graph: the graph of a step, not lowered.
        mesh: {axis: size}.
        outputs: tensors that the step returns, whose memory is not freed.

    Raises:
        UsageError: ortools is not installed, or no layout is possible.
        RunError: the solver failed.
    """
    integer_program.require_ortools()
    memory_estimator, layout_optimizer = _auto_mtf()
    shape = mtf.convert_to_shape(notation.mesh_text(mesh))
    estimator = memory_estimator.MemoryEstimator(graph, shape, outputs)
    validator = estimator.get_layout_validator()
    # A set has another order in each process, and with it equally good layouts another winner.
    validator._splittable_mtf_dimension_names = sorted(validator.splittable_mtf_dimension_names)
    try:
        optimizer = layout_optimizer.LayoutOptimizer(estimator)
        rules = optimizer.solve()
    except layout_optimizer.SolverError as error:
        raise UsageError(f"--auto_layout: no layout is possible: {error}") from error
    return notation.layout_of(rules), optimizer.evaluate_layout(rules)


def _auto_mtf() -> tuple[Any, Any]:
    """Returns modules of auto_mtf, imported with `integer_program` in place of ortools."""
    with _in_place_of_ortools():
        names = ("memory_estimator", "layout_optimizer")
        estimator, optimizer = (
            importlib.import_module(f"mesh_tensorflow.auto_mtf.{name}") for name in names
        )
    return estimator, optimizer


@contextlib.contextmanager
def _in_place_of_ortools() -> Iterator[None]:
    """Makes `from ortools.sat.python import cp_model` import `integer_program` in the block."""
    names = [_MODULE.rsplit(".", n)[0] for n in (2, 1, 0)]
    before = {name: sys.modules.get(name) for name in names}
    for name in names:
        sys.modules[name] = types.ModuleType(name)
    sys.modules[_MODULE].cp_model = integer_program  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module
