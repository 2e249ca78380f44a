"""The memory of a run of training: what its graph needs, and changes that need less, planned.

A run imports this module at its start: what only plans need is imported when one is made.
"""

import contextlib
import dataclasses
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from primer.common import console
from primer.errors import UsageError
from primer.gin_config import gin_state
from primer.gin_config.values import bound
from primer.runtime.callbacks import MemoryNeed
from primer.runtime.memory.machine import as_text

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

    from primer.planning.plans.plan import Plan
    from primer.planning.plans.planner import Planner


class RunMemory:
    """The `callbacks.MemoryPlanner` of runs of training."""

    def need(
        self,
        operations: "Sequence[tf.Operation]",
        results: "Sequence[tf.Operation]",
        counts: "Callable[[tf.Operation], bool]",
    ) -> MemoryNeed:
        """See `callbacks.MemoryPlanner`."""
        from primer.planning.device_program import built_graph

        return built_graph.peak(operations, results, counts)

    def changes(self, settings: Mapping[str, Any], available: int | None) -> str:
        """See `callbacks.MemoryPlanner`."""
        from primer.planning import run_graph

        if bound("utils.run.model_type") not in run_graph.KINDS:
            return "Set smaller microbatches or batches."
        with _planning():
            try:
                found = _plans(settings, available)
            except UsageError as error:
                return f"What would fit could not be planned ({error})."
        return _sentences(found, available)


@contextlib.contextmanager
def _planning() -> Iterator[None]:
    """A context for graphs of plans inside a run, of whose calls gin's record stays as it is."""
    from primer.planning import run_graph

    with (
        gin_state.recorded_calls_restored(),
        # The mesh of a plan has no devices.
        gin_state.parameter_bound(run_graph.RUN, "mesh_devices", None),
    ):
        yield


def _plans(settings: Mapping[str, Any], available: int | None) -> "list[Plan]":
    """Returns plans of the run with changes, the best first."""
    import mesh_tensorflow as mtf

    from primer.planning.layouts.run_check import layout_in_force
    from primer.planning.machines import chips, step_time
    from primer.planning.plans import planner as plans
    from primer.planning.plans import suggestions

    vocabulary = settings["vocabulary"]
    if isinstance(vocabulary, (tuple, list)):
        vocabulary = vocabulary[-1]
    shape = mtf.convert_to_shape(settings.get("mesh_shape") or "")
    mesh = {dim.name: dim.size for dim in shape.dims}
    layout = layout_in_force()

    machine = plans.Machine(chips.CPU, step_time.UTILIZATION, vocabulary.vocab_size)
    planner = plans.Planner(machine)
    plan = planner.plan("as set", mesh, layout)
    needed = _peak(plan) - 1
    memory = needed if available is None else min(available, needed)
    planner.machine = dataclasses.replace(machine, memory=memory)
    plan = dataclasses.replace(plan, chip=dataclasses.replace(plan.chip, memory=memory))
    with plans.batch_held(plan.rows):
        found = suggestions.suggestions(planner, plan, _say)
        found += list(_with_fewer_rows(planner, plan, found))
    return found


def _with_fewer_rows(planner: "Planner", plan: "Plan", found: "Sequence[Plan]") -> "Iterator[Plan]":
    """Yields plans with fewer rows in a batch, where no other change fits."""
    from primer.planning import run_graph
    from primer.planning.plans import planner as plans

    rows = plan.rows
    while rows % 2 == 0 and not any(other.fits for other in found):
        rows //= 2
        name = f"{rows} rows in a batch, recomputation"
        _say(name)
        changes = {
            **plans.RECOMPUTED,
            plans.TOKENS_PER_MICROBATCH: plan.program.batch["length"],
            (run_graph.RUN, "batch_size"): ("sequences_per_batch", rows),
        }
        try:
            smaller = planner.plan(name, plan.mesh, plan.layout, changes)
        except UsageError:  # The mesh does not divide the rows.
            return
        yield smaller
        if smaller.fits:
            return


def _say(change: str) -> None:
    console.say(f"  planning {change}")


def _peak(plan: "Plan") -> int:
    """Returns the peak of all devices of a plan's machine."""
    return plan.program.memory.peak * (plan.program.devices if plan.chip.shares_host else 1)


def _sentences(found: "Sequence[Plan]", available: int | None) -> str:
    """Returns what fits, with the options that make it, and else what needs the least."""
    fitting = [other for other in found if other.fits]
    if not found:
        return "No change that needs less was found; set a smaller batch, length or model."
    limit = "fits" if available is not None else "needs less"
    if not fitting:
        least = min(found, key=_peak)
        return (
            f"None of the changes that were planned {limit}; {_option(least)} needs the least, "
            f"{as_text(_peak(least))}. Set a smaller length or model, or use a larger machine."
        )
    options = "; ".join(f"{_option(other)} ({as_text(_peak(other))})" for other in fitting)
    return f"By their plans, this {limit}: {options}."


def _option(plan: "Plan") -> str:
    """Returns the name of a change with the options that make it."""
    changes = plan.changes.items()
    options = [f'{k} = "{v}"' if isinstance(v, str) else f"{k} = {v!r}" for k, v in changes]
    words = " ".join(f"--gin_param {shlex.quote(option)}" for option in options)
    return f"{plan.name}: {words}" if words else plan.name
