"""A profile on the terminal: the protocol in sentences, and tables by kind, layer and form."""

from collections.abc import Iterable
from typing import IO, TYPE_CHECKING

from primer.common.terminal.tables import console, flops, seconds, table
from primer.planning.device_program.parts import BACKWARD, FORWARD, UPDATE
from primer.profiling import rows
from primer.profiling.profile import Profile
from primer.profiling.rows import Row

if TYPE_CHECKING:
    from rich.table import Table

# Rows of the table of equal operations, and the share of the time below which a kind has no row.
FORMS = 25
LEAST_SHARE = 0.005
_SHOWN = 1e-4  # The share below which a layer has no row.
_PHASES = (FORWARD, BACKWARD, UPDATE)
_WORDS = frozenset({"layer", "class", "kind", "operations"})
_NUMBERS = ("ms", "share", "GFLOP", "GFLOP/s", "of product", "MiB", "GB/s")


def print_profile(profile: Profile, file: IO[str] | None = None) -> None:
    """Prints a profile.

    Args:
        profile: what to print.
        file: the output; None: standard output.
    """
    terminal = console(file)
    for sentence in sentences(profile):
        terminal.print(sentence, soft_wrap=True)
    terminal.print()
    terminal.print(layers_table(profile))
    terminal.print(kinds_table(profile))
    terminal.print(forms_table(profile))
    for sentence in (*_MEANING, *profile.notes):
        terminal.print(f"- {sentence}", soft_wrap=True)


_MEANING = (
    "Shares are of the sum of the operations' times. Operations that run at the same time share "
    "the processors, and each is slower than alone (`primer profile --threads_between 1`).",
    "GFLOP/s: the row's products in all of its time; of product: as a share of the measured one.",
    "MiB, GB/s: what operations read and write, with the copies in an Einsum, caches left out.",
)


_UNCOMPILED = (
    "Not compiled: compile.xla is on, and a run computes this step as one XLA computation, which "
    "has other times and no operations of its own (docs/gpu.md). Below are the operations and the "
    "times without XLA; `primer train` says the tokens per second with it."
)


def sentences(profile: Profile) -> list[str]:
    """Returns how a profile was measured, and what the step is beside its products."""
    p = profile.protocol
    between, within = (
        str(number) if number else f"TensorFlow's choice, for {p.processors} processors"
        for number in (p.threads_between, p.threads_within)
    )
    work = "a training step" if p.mode == "train" else "an evaluation"
    uncompiled = [_UNCOMPILED] if p.is_uncompiled else []
    return [
        *uncompiled,
        f"Profile of {work} of {p.batch_text} tokens, activations {p.dtype}: {p.steps} steps "
        f"untraced and {p.steps} traced, in turns, after {p.warm_up} to warm up; of each operation "
        f"the shortest time. Threads between operations: {between}; within: {within}.",
        f"A step takes {seconds(p.step_seconds)} ({p.tokens / p.step_seconds:,.0f} tokens/s; "
        f"median {seconds(p.median_seconds)}) and {seconds(p.cpu_seconds)} of processor time; "
        f"traced {seconds(p.traced_seconds)} ({p.tracing_overhead:+.0%}), "
        f"{seconds(p.span_seconds)} from the first operation to the last, "
        f"{seconds(p.busy_seconds)} with one running, up to {p.most_at_once} at once. The "
        f"operations' times add up to {seconds(profile.seconds)}.",
        f"The {p.product} runs at {flops(p.product_speed)}FLOP/s "
        f"({flops(p.product_cpu_speed)}FLOPs per second of processor time), element-wise "
        f"operations at {p.bandwidth / 1e9:.3g} GB/s: measured now.",
        *_products(profile),
    ]


def _products(profile: Profile) -> list[str]:
    """Returns what the step is beside its products; nothing without any."""
    p = profile.protocol
    if not profile.useful_flops or not profile.product_seconds:
        return []
    alone, alone_cpu = (
        profile.useful_flops / speed for speed in (p.product_speed, p.product_cpu_speed)
    )
    rate = profile.flops / profile.product_seconds / p.product_speed
    return [
        f"The model's products, {flops(profile.useful_flops)}FLOPs a step, would take "
        f"{seconds(alone)} at that speed: the step takes {p.step_seconds / alone:.2f} times that, "
        f"in processor time {p.cpu_seconds / alone_cpu:.2f} times. All products "
        f"({flops(profile.flops)}FLOPs) are {profile.product_seconds / profile.seconds:.1%} of the "
        f"operations' time, at {rate:.1%} of the product's speed."
    ]


def layers_table(profile: Profile) -> "Table":
    """Returns the time of each layer, equal layers of several blocks together."""
    found = rows.by_layer(profile)
    result = table("By layer", "layer", "class", *_PHASES, *_NUMBERS, words=_WORDS)
    for row in [*found, _sum("in all", found)]:
        if row.name == "in all":
            result.add_section()
        if row.seconds >= _SHOWN * profile.seconds:
            times = (_milliseconds(row.phases[phase]) for phase in _PHASES)
            result.add_row(row.name, row.kind, *times, *_cells(profile, row))
    return result


def kinds_table(profile: Profile) -> "Table":
    """Returns the time of each kind of operation; those below LEAST_SHARE are added up."""
    result = table("By kind of operation", "kind", "number", *_NUMBERS, words=_WORDS)
    found = rows.by_kind(profile)
    shown = [row for row in found if row.seconds >= LEAST_SHARE * profile.seconds]
    others = found[len(shown) :]
    for row in [*shown, *([_sum(f"{len(others)} others", others)] if others else [])]:
        result.add_row(row.name, f"{row.times:,}", *_cells(profile, row))
    return result


def forms_table(profile: Profile) -> "Table":
    """Returns the operations with the most time, equal ones together."""
    title = "Equal operations with the most time"
    result = table(title, "operations", "kind", "number", *_NUMBERS, words=_WORDS)
    for row in rows.by_form(profile)[:FORMS]:
        result.add_row(row.name, row.kind, str(row.times), *_cells(profile, row))
    return result


def _cells(profile: Profile, row: Row) -> list[str]:
    """Returns the cells of _NUMBERS."""
    share = row.seconds / profile.seconds if profile.seconds else 0.0
    products = [""] * 3
    if row.flops:
        products = [f"{row.flops / 1e9:,.4g}", f"{row.speed / 1e9:,.1f}"]
        products += [f"{row.speed / profile.protocol.product_speed:.1%}"]
    memory = [f"{row.bytes / 2**20:,.1f}", f"{row.bandwidth / 1e9:,.1f}"]
    return [_milliseconds(row.seconds), f"{share:.1%}", *products, *memory]


def _milliseconds(number: float) -> str:
    return f"{1e3 * number:,.2f}"


def _sum(name: str, found: Iterable[Row]) -> Row:
    total = Row(name)
    for row in found:
        for phase, number in row.phases.items():
            total.phases[phase] += number
        total.times += row.times
        total.product_seconds += row.product_seconds
        total.flops += row.flops
        total.bytes += row.bytes
    return total
