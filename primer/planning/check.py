"""What gin files build, and which of their settings take no effect; needs no data."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from primer.errors import UsageError

if TYPE_CHECKING:
    from primer.cost.model_cost import ModelCost
    from primer.gin_config.findings import Findings
    from primer.gin_config.provenance import Setting
    from primer.planning.structure import Group


class CheckResult(NamedTuple):
    """The result of `check_gin_files`.

    Attributes:
        files: the gin files.
        slots: {slot: (value as text, the value that a referring value comes to or None, where the
            slot is set)}.
        groups: the layers, from `structure.layer_groups`.
        findings: the settings without effect, and pairs of files that set the same slot.
        cost: the parameters and FLOPs per token.
        vocabulary_size: the number of token ids that the model was built for.
    """

    files: list[str]
    slots: dict[str, tuple[str, str | None, str]]
    groups: "list[Group]"
    findings: "Findings"
    cost: "ModelCost"
    vocabulary_size: int


def check_gin_files(
    files: Sequence[str],
    params: Sequence[str],
    vocabulary_size: int | None = None,
    of_task: bool = False,
) -> CheckResult:
    """Parses gin files as a run does and builds the graphs of training and of evaluation.

    Everything that the files name has to be registered (by `import t5_imports`). Restores gin's
    configuration afterwards.

    Args:
        files: the values of `--gin_file`.
        params: the values of `--gin_param`.
        vocabulary_size: the number of token ids; None: that of `vocabulary.planned_vocabulary`.
        of_task: whether None stands for the vocabulary of the task of the files.

    Raises:
        UsageError: gin cannot parse the files, or the model cannot be built.
    """
    import tensorflow.compat.v1 as tf

    from primer.common import gc_pause
    from primer.gin_config import findings, isolation
    from primer.planning import vocabulary
    from primer.runtime import engine

    tf.disable_v2_behavior()
    with isolation.isolated(), gc_pause.paused():
        parse(files, params)
        settings = findings.settings_of_run(files, params)
        planned = vocabulary.planned_vocabulary()  # Read in any case: it is a setting, too.
        vocabulary_size = vocabulary_size or (vocabulary.of_task() if of_task else planned)
        groups, cost = _build(vocabulary_size)
        found = findings.collect_findings(settings, vocabulary.tasks(), engine.entry_points())
        return CheckResult(list(files), _slots(settings), groups, found, cost, vocabulary_size)


def parse(files: Sequence[str], params: Sequence[str]) -> None:
    """Parses the files as a run does, and looks for slots that nothing sets."""
    import gin

    from primer.planning import parse as parsing

    parsing.parse_files(files, params)
    with parsing.errors_in_one_line():
        _require_slots(files)
        gin.finalize()


def _require_slots(files: Sequence[str]) -> None:
    """Raises UsageError with every macro that bindings refer to and nothing sets."""
    from primer.gin_config import slots
    from primer.planning import run_graph

    missing = slots.unset_macros()  # gin's own error names only one of them.
    if missing:
        run_graph.require_language_model()  # Else defaults.gin is missing, which sets most slots.
        remedy = "give a file of sizes/, or --gin_param"
        if not any(file.endswith("defaults.gin") for file in files):
            remedy = "list models/defaults.gin first"
        raise UsageError(
            f"{', '.join(missing)}: nothing sets {'these slots' if missing[1:] else 'this slot'}; "
            f"{remedy}"
        )


def _build(vocabulary_size: int) -> "tuple[list[Group], ModelCost]":
    """Builds the graphs of training and of evaluation; returns the model's layers and its cost.

    The whole model is built once, for its shapes. The optimizer, the schedule and evaluation are
    built on one block: they read the same settings for one block as for many.
    """
    from primer.planning import parse as parsing
    from primer.planning import run_graph, structure

    with parsing.building("the model"):
        model, graph = run_graph.build_forward(vocabulary_size)
        for mode in run_graph.MODES:
            run_graph.build_step(vocabulary_size, mode, blocks=1)
    cost = run_graph.cost_of(model, graph)
    return structure.layer_groups(model, graph, cost), cost


def _slots(settings: "Sequence[Setting]") -> dict[str, tuple[str, str | None, str]]:
    from primer.gin_config import provenance, slots
    from primer.gin_config.gin_state import MACRO

    in_force = provenance.settings_in_force(settings)
    values = slots.values_in_force()
    resolved = slots.resolve_references(values)
    return {
        name: (value, resolved.get(name), in_force[name, MACRO, "value"].where)
        for name, value in values.items()
    }
