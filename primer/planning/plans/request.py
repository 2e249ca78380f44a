"""What a user asks of `primer plan`, and the report that answers it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from primer.errors import UsageError
from primer.planning import vocabulary
from primer.planning.layouts import candidates, notation, run_check
from primer.planning.machines import chips, step_time
from primer.planning.plans import planner as plans
from primer.planning.plans import report as reports
from primer.planning.plans import sweep as sweeps
from primer.planning.plans.planner import Machine, Planner
from primer.planning.plans.report import Report


@dataclasses.dataclass(frozen=True)
class Request:
    """What to plan.

    Attributes:
        files: the values of `--gin_file`.
        params: the values of `--gin_param`.
        mesh: {axis: size}, or sizes alone; None: that of the gin files.
        layout: {dimension: axis}; None: that of the gin files.
        chip: a value of `chips.NAMES`.
        utilization: the share of the peak that matrix products are taken to reach.
        vocabulary_size: the number of token ids; None: the model's own, else T5's.
        of_task: whether None stands for the vocabulary of the task of the gin files.
        tokens: a number of tokens to train on.
        sweep: whether to search all meshes of as many devices.
        automatic: whether to plan auto_mtf's layout.
        whole: whether to lower every block.
    """

    files: Sequence[str]
    params: Sequence[str] = ()
    mesh: Mapping[str, int] | Sequence[int] | None = None
    layout: Mapping[str, str] | None = None
    chip: str = "v3"
    utilization: float = step_time.UTILIZATION
    vocabulary_size: int | None = None
    of_task: bool = False
    tokens: float | None = None
    sweep: bool = False
    automatic: bool = False
    whole: bool = False


def report(
    request: Request,
    say: Callable[[str], None] = lambda text: None,
    check_settings: Callable[[], None] = lambda: None,
) -> Report:
    """Returns the report.

    Args:
        request: what to plan.
        say: gets a line for each plan before it is made.
        check_settings: called when gin has the settings, before the plans.

    Raises:
        UsageError: gin cannot parse the files, the model cannot be built, or the mesh or the layout
            does not fit it.
    """
    with plans.settings_of(request.files, request.params):
        mesh, layout = mesh_and_layout(request)
        own_size = vocabulary.of_task if request.of_task else vocabulary.planned_vocabulary
        vocabulary_size = request.vocabulary_size or own_size()
        own = request.layout is not None or run_check.are_own_rules(
            list(request.files), list(request.params)
        )
        setting = "--layout" if request.layout is not None else run_check.checks.SETTING
        run_check.check(mesh, layout, own, vocabulary_size, setting)
        run_check.checks.check_every_axis(mesh, layout)
        _check_search(request, mesh)
        check_settings()
        machine = Machine(request.chip, request.utilization, vocabulary_size, request.whole)
        planner = Planner(machine)
        result = reports.report_of(planner, mesh, layout, request.tokens, say)
        if request.sweep or request.automatic:
            with plans.batch_held(result.plan.rows):
                _search(request, planner, result, say)
        return result


def _check_search(request: Request, mesh: Mapping[str, int]) -> None:
    if (request.sweep or request.automatic) and candidates.size(dict(mesh)) == 1:
        option = "--sweep_mesh" if request.sweep else "--auto_layout"
        raise UsageError(f"{option}: the mesh has one device; name a larger one, as --mesh 8")


def mesh_and_layout(request: Request) -> tuple[dict[str, int], dict[str, str]]:
    """Returns the mesh and the layout of a request, those of gin where it has none."""
    layout = run_check.layout_in_force() if request.layout is None else dict(request.layout)
    if request.mesh is None:
        return run_check.planned_mesh(chips.is_tpu(request.chip)), layout
    if isinstance(request.mesh, Mapping):
        return dict(request.mesh), layout
    of_gin = run_check.mesh_in_force() if request.layout is None else {}
    return notation.named(request.mesh, of_gin, layout), layout


def _search(request: Request, planner: Planner, result: Report, say: Callable[[str], None]) -> None:
    """Adds a search, and auto_mtf's plan, to a report."""
    mesh = result.plan.mesh
    devices = candidates.size(dict(mesh))
    meshes = candidates.factorings(devices) if request.sweep else [dict(mesh)]

    def check(axes: Mapping[str, int], layout: Mapping[str, str]) -> None:
        run_check.check(axes, layout, False, planner.machine.vocabulary_size)

    def say_number(number: int, total: int, text: str) -> None:
        say(f"{number} of {total}: {text}")

    result.sweep = sweeps.sweep(planner, meshes, planner.dimensions(), say_number, check)
    if request.automatic:
        result.automatic = _automatic(planner, meshes, say)


def _automatic(planner, meshes, say):
    """Returns the plan of auto_mtf's layout, on the mesh where it needs the least memory."""
    from primer.planning.layouts import auto_layout

    found = []
    for mesh in meshes:
        say(f"auto_mtf: {notation.mesh_text(mesh)}")
        graph = run_check.graph_of_blocks(planner.machine.vocabulary_size, blocks=2)
        layout, memory = auto_layout.layout_of(graph, mesh)
        found.append((memory, notation.mesh_text(mesh), mesh, layout))
    _, _, mesh, layout = min(found, key=lambda entry: entry[:2])
    return planner.plan("auto_mtf", mesh, layout)
