"""The output of `primer plan` on the terminal, and the line of its progress."""

from typing import IO, TYPE_CHECKING

from primer.commands.printing import plan_tables
from primer.common.live_line import LiveLine
from primer.common.terminal import tables
from primer.common.terminal.tables import seconds, size
from primer.planning.layouts import notation

if TYPE_CHECKING:
    from rich.console import Console

    from primer.planning.plans.plan import Plan
    from primer.planning.plans.report import Report


class Progress(LiveLine):
    """A line that says which plan is being made."""

    def planning(self, text: str) -> None:
        """Shows what is being planned."""
        if self.is_live or self.is_due():
            self.show(f"Planning {text}")


def print_report(report: "Report", file: IO[str] | None = None) -> None:
    """Prints a report.

    Args:
        report: what to print.
        file: the output; None: standard output.
    """
    from primer.planning.plans import assumptions

    console = tables.console(file)
    console.print(_heading(report.plan), soft_wrap=True)
    console.print(plan_tables.memory_table(report))
    console.print(plan_tables.layers_table(report.plan))
    _print_collectives(console, report.plan)
    console.print(_time_text(report), soft_wrap=True)
    console.print("\nAssumptions:")
    for sentence in assumptions.sentences(report.plan):
        console.print(f"- {sentence}", soft_wrap=True)
    for note in report.plan.program.notes:
        console.print(f"- {note}", soft_wrap=True)
    console.print("\n" + verdict(report.plan), soft_wrap=True)
    if not report.plan.fits:
        _print_suggestions(console, report)
    _print_search(console, report)


def verdict(plan: "Plan") -> str:
    """Returns whether a plan fits, in a sentence."""
    peak, capacity = plan.program.memory.peak, plan.capacity
    numbers = f"{size(peak)} at its peak, {peak / capacity:.1%} of {size(capacity)}"
    if plan.fits:
        return f"The run fits: a device needs {numbers}."
    return f"The run does not fit: a device needs {numbers}, {size(peak - capacity)} too much."


def _heading(plan: "Plan") -> str:
    program, chip = plan.program, plan.chip
    mesh = notation.mesh_text(plan.mesh) or "one device"
    rules = notation.layout_text({d: a for d, a in plan.layout.items() if a in plan.mesh})
    chips = f" = {plan.chips:,g} chips" if chip.devices_per_chip > 1 else ""
    devices = f"{program.devices:,} device{'s, each' if program.devices > 1 else ','}"
    return (
        f"{program.parameters:,} parameters, {program.device_parameters:,} on a device\n"
        f"Mesh {mesh}: {devices} {chip.unit}{chips}; layout "
        f"{rules or 'without a rule that splits'}\n"
        f"{plan.rows:,} rows of {program.batch['length']:,} tokens a step ({plan.time.tokens:,}), "
        f"{_microbatches(program.microbatches)}; {plan.vocabulary_size:,} token ids; "
        f"activations {program.activation_dtype}; "
        f"{'with' if program.recomputes else 'without'} recomputation"
    )


def _microbatches(number: int) -> str:
    return "not divided into microbatches" if number == 1 else f"in {number} microbatches"


def _print_collectives(console: "Console", plan: "Plan") -> None:
    rows: dict[tuple[str, str], list[float]] = {}
    for collective in plan.program.collectives:
        row = rows.setdefault((" x ".join(collective.axes), collective.purpose), [0, 0, 0])
        row[0] += collective.times
        row[1] += collective.total_bytes
        row[2] += collective.sent_bytes
    if not rows:
        console.print("No collectives.\n")
        return
    result = plan_tables.table(
        "Collectives of a step on a device", "over", "for", "number", "operands", "sends"
    )
    for (axes, purpose), (times, operands, sent) in sorted(rows.items()):
        result.add_row(axes, purpose, f"{times:,.0f}", size(operands), size(sent))
    console.print(result)


def _time_text(report: "Report") -> str:
    plan = report.plan
    time, program = plan.time, plan.program
    axes = ", ".join(f"{seconds(s)} over {axes}" for axes, s in time.by_axes().items())
    compute, memory = (sum(getattr(p, name) for p in time.parts) for name in ("compute", "memory"))
    text = (
        f"A step takes {seconds(time.seconds)}: operations {seconds(time.operations)} (products "
        f"{seconds(compute)}, access to memory {seconds(memory)}), collectives "
        f"{seconds(time.communication)}{f' ({axes})' if axes else ''}.\n"
        f"{time.tokens_per_second:,.0f} tokens per second, "
        f"{time.tokens_per_second / program.devices:,.1f} per device; "
        f"{time.model_utilization:.1%} of the peak in useful FLOPs."
    )
    if report.budget:
        budget = report.budget
        chips = "" if plan.chip.devices_per_chip == 1 else f" ({budget.chip_hours:,.0f} of chips)"
        text += (
            f"\n{budget.tokens:,.0f} tokens: {budget.steps:,.0f} steps, {budget.days:,.1f} days, "
            f"{budget.device_hours:,.0f} device-hours{chips}."
        )
    return text


def _print_suggestions(console: "Console", report: "Report") -> None:
    if not report.suggestions:
        mesh = " The run has no mesh: --mesh names one." if not report.plan.mesh else ""
        console.print(f"No change that was tried suits this model.{mesh}")
        return
    console.print(plan_tables.plans_table("Changes, each planned", report.suggestions, report.plan))
    for number, plan in enumerate(report.suggestions[: plan_tables.PLANS_SHOWN], 1):
        console.print(f"{number}: {_options(plan, report.plan)}", soft_wrap=True, highlight=False)
    if not any(plan.fits for plan in report.suggestions):
        console.print("None of these fits.")


def _options(plan: "Plan", asked: "Plan") -> str:
    """Returns the options that make a plan of another one."""
    words = []
    if plan.mesh != asked.mesh:
        words.append(f"--mesh {notation.mesh_text(plan.mesh)}")
    if plan.layout != asked.layout:
        words.append(f"--layout {notation.layout_text(plan.layout)}")
    if words:  # By default the batch depends on both.
        words.append(f'--gin_param "utils.run.batch_size = {plan.rows}"')
    words += [f'--gin_param "{name} = {value!r}"' for name, value in plan.changes.items()]
    return " ".join(words)


def _print_search(console: "Console", report: "Report") -> None:
    sweep = report.sweep
    if sweep is None:
        return
    fitting = sum(plan.fits for plan in sweep.plans)
    title = f"{len(sweep.plans)} plans on {sweep.devices:,} devices, {fitting} fit"
    console.print(plan_tables.plans_table(title, sweep.plans, report.plan))
    if sweep.plans[plan_tables.PLANS_SHOWN :]:
        console.print(f"{len(sweep.plans) - plan_tables.PLANS_SHOWN} more: --json writes all.")
    for name, reason in sweep.impossible:
        console.print(f"Not possible: {name}: {reason}", soft_wrap=True)
    if report.automatic and sweep.plans:
        plan = report.automatic
        console.print(plan_tables.plans_table("auto_mtf", [plan], report.plan))
        console.print(
            f"auto_mtf's layout would be number {sweep.rank_of(plan)} of {len(sweep.plans)}; its "
            f"time of a token is {sweep.ratio_of(plan):.2f} times the best one's.",
            soft_wrap=True,
        )
