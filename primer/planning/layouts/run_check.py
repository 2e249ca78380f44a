"""The check of a mesh and a layout against the model that gin describes, before the long work.

`primer plan` checks before it lowers the graph, a run of training before it reads its data: in the
same words.
"""

import contextlib
import os
from collections.abc import Mapping
from typing import Any

import mesh_tensorflow as mtf

from primer.common.sharding.stored_weights import STORED
from primer.errors import UsageError
from primer.gin_config import findings, gin_state, provenance
from primer.gin_config.values import bound, configured
from primer.planning import parse, run_graph
from primer.planning.layouts import checks, notation
from primer.runtime import batch_size, callbacks, mesh

_KEY = ("", run_graph.RUN, "layout_rules")
MESH_SETTING = "utils.run.mesh_shape"
_SHAPE, _TOPOLOGY = "primer.mesh_shape.shape", "utils.tpu_mesh_shape.tpu_topology"
# What a run records of all its settings, with the rules of installed files among them.
_OF_RUNS = ("config.gin", "operative_config.gin")
_MICROBATCHES = "mesh_tensorflow.transformer.utils.serialize_num_microbatches"


def check_run() -> None:
    """Checks the mesh and the layout of the run of training that gin describes.

    A run on one device has nothing to check. Rules of installed gin files name dimensions and axes
    that not every model and mesh has (`experts:batch`); only the user's own have to match.

    Raises:
        UsageError: as `check`.
    """
    axes = mesh_in_force()
    if mtf.convert_to_shape(notation.mesh_text(axes)).size == 1:
        return
    if bound("utils.run.model_type") not in run_graph.KINDS:
        return
    own = are_own_rules(*callbacks.command_line())
    check(axes, layout_in_force(), own, _vocabulary_size(axes))


def check(
    axes: Mapping[str, int],
    layout: Mapping[str, str],
    own_rules: bool,
    vocabulary_size: int,
    setting: str = checks.SETTING,
) -> None:
    """Checks a mesh and a layout on one block of the model that gin describes.

    Args:
        axes: {axis: size}.
        layout: {dimension: axis}.
        own_rules: whether every rule has to name an axis of the mesh and a dimension of the model.
        vocabulary_size: the number of token ids.
        setting: the setting or option that has the rules.

    Raises:
        UsageError: a rule or a dimension that does not fit, as the functions of `checks`; or rows
            of a batch that the mesh does not divide.
    """
    if own_rules:
        checks.check_axes(axes, layout, setting)
    _check_rows(axes, layout)
    if own_rules:
        checks.check_rules(layout, _dimensions(axes, layout, vocabulary_size), setting)
    try:
        # Layers build other operations where the mesh splits their dimensions.
        graph = graph_of_blocks(vocabulary_size, axes, layout)
    except UsageError:
        # Of Mesh-TensorFlow, whose words name no setting: the graph of one device may show why. In
        # it weights have d_model, where the layout may rename it: two dimensions on one axis.
        graph = graph_of_blocks(vocabulary_size)
        is_renamed = layout.get(STORED) in axes
        checks.check_tensors(checks.shapes_of(graph), axes, layout, is_renamed)
        raise
    checks.check_tensors(checks.shapes_of(graph), axes, layout)


def _dimensions(
    axes: Mapping[str, int], layout: Mapping[str, str], vocabulary_size: int
) -> set[str]:
    """Returns the names of the model's dimensions, and those that the layout gives to weights."""
    known = checks.dimension_names(graph_of_blocks(vocabulary_size))
    return known | {STORED} if layout.get(STORED) in axes else known


def mesh_in_force() -> dict[str, int]:
    """Returns {axis: size} of `utils.run.mesh_shape`."""
    shape = configured("utils.run.mesh_shape", "")
    if isinstance(shape, str) and shape:
        axes = notation.mesh_of(shape, MESH_SETTING)
        if isinstance(axes, dict):
            return axes
        raise UsageError(
            f"{MESH_SETTING} = {shape!r}: expected axes with their names, as batch:2,model:2"
        )
    return {dimension.name: dimension.size for dimension in mtf.convert_to_shape(shape).dims}


def planned_mesh(for_tpu: bool) -> dict[str, int]:
    """Returns {axis: size} of gin's mesh; on a TPU that of its topology, if no shape is set."""
    if for_tpu and bound(_TOPOLOGY) and bound(_SHAPE) is None:
        return {dim.name: dim.size for dim in mesh.shape_of_topology().dims}
    return mesh_in_force()


def layout_in_force() -> dict[str, str]:
    """Returns {dimension: axis} of `utils.run.layout_rules`."""
    rules: Any = configured("utils.run.layout_rules", "")
    if isinstance(rules, str):
        return notation.layout_of(rules, checks.SETTING)
    return dict(sorted(mtf.convert_to_layout_rules(rules)._pairs))


def are_own_rules(files: list[str], params: list[str]) -> bool:
    """Returns whether the user's own files or parameters set the layout rules in force."""
    in_force = provenance.settings_in_force(findings.settings_of_run(files, params))
    setting = in_force.get(_KEY)
    if setting is None:
        return False
    if setting.files and os.path.basename(setting.files[-1].path) in _OF_RUNS:
        return False
    return not setting.is_installed(findings.installed_folders())


def _of_run(axes: Mapping[str, int], layout: Mapping[str, str]) -> dict[tuple[str, str], Any]:
    """Returns a mesh and a layout as settings of `utils.run`."""
    return {
        (run_graph.RUN, "mesh_shape"): notation.mesh_text(axes),
        (run_graph.RUN, "layout_rules"): notation.layout_text(layout),
    }


def _check_rows(axes: Mapping[str, int], layout: Mapping[str, str]) -> None:
    shape, rules = notation.mesh_text(axes), notation.layout_text(layout)
    with gin_state.parameters_bound(_of_run(axes, layout)):
        rows = batch_size.rows_per_batch()
    parts = mesh.rows_divisor(mtf.convert_to_shape(shape), mtf.convert_to_layout_rules(rules))
    if rows % parts:
        raise UsageError(
            f"utils.run.batch_size: a batch has {rows} rows, and the mesh {shape!r} splits them "
            f"over {parts} devices; use a multiple of {parts} rows"
        )


def graph_of_blocks(
    vocabulary_size: int,
    axes: Mapping[str, int] | None = None,
    layout: Mapping[str, str] | None = None,
    blocks: int | None = 1,
) -> mtf.Graph:
    """Returns the graph of a training step without microbatches, which is not lowered.

    The graph of a loop over microbatches would hide the tensors of the model.

    Args:
        vocabulary_size: the number of token ids.
        axes: {axis: size}; None: one device.
        layout: {dimension: axis}; it names some dimensions of weights.
        blocks: the number of blocks; None: that of the model.
    """
    settings = {
        **_of_run(axes or {}, layout or {}),
        (run_graph.RUN, "mesh_devices"): None,
        (_MICROBATCHES, "tokens_per_microbatch_per_replica"): None,
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(gin_state.recorded_calls_restored())
        stack.enter_context(parse.building("the model"))
        stack.enter_context(gin_state.parameters_bound(settings))
        # It slices the variables, with Mesh-TensorFlow's own errors.
        stack.enter_context(run_graph.replaced(mtf.Lowering, "autostack", lambda lowering: None))
        return run_graph.build_step(vocabulary_size, blocks=blocks)


def _vocabulary_size(axes: Mapping[str, int]) -> int:
    """Returns the number of token ids of the run; without one, a number that any axis divides."""
    vocabulary = configured("utils.run.vocabulary")
    if isinstance(vocabulary, tuple):
        vocabulary = vocabulary[-1]
    size = getattr(vocabulary, "vocab_size", None)
    return size or 128 * mtf.convert_to_shape(notation.mesh_text(axes)).size
