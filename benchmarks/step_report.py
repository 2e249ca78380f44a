"""The ratios of `step.py`: their definitions, targets and noise, and the page that shows them."""

import datetime
import json
import pathlib
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Round = Mapping[str, Mapping[str, float]]
median = statistics.median

# Name of a ratio: its two targets (native bfloat16, others), whether it should be large, and the
# ratio of a round.
Definition = tuple[float, float, bool, Callable[[Round], float]]


def _rate(own: str, other: str) -> Callable[[Round], float]:
    return lambda found: found[own]["tokens_per_s"] / found[other]["tokens_per_s"]


def _over_products(name: str) -> Callable[[Round], float]:
    return lambda found: found[name]["step_s"] / found[name]["products_s"]


def _over_vanilla(name: str) -> Callable[[Round], float]:
    return lambda found: found[name]["step_s"] / found["vanilla"]["step_s"]


RATIOS: dict[str, Definition] = {
    "training / stock, small": (2.4, 1.25, True, _rate("ours small", "stock small")),
    "training / stock, medium": (2.4, 1.25, True, _rate("ours medium", "stock medium")),
    "training / torch.compile, small": (1.2, 1.1, True, _rate("ours small", "torch small")),
    "training / torch.compile, medium": (1.2, 1.1, True, _rate("ours medium", "torch medium")),
    "step / its products, vanilla": (1.35, 1.15, False, _over_products("vanilla")),
    "step / vanilla's, Primer-EZ": (1.06, 1.06, False, _over_vanilla("Primer-EZ")),
    "step / vanilla's, Primer": (1.06, 1.06, False, _over_vanilla("Primer")),
    **{
        f"step / its products, {name}": (1.6, 1.6, False, _over_products(name))
        for name in (
            "experts (Switch)",
            "recurrence (Transformer-XL)",
            "windows (64 of 512)",
        )
    },
    "command to first step / stock's": (
        0.5,
        0.5,
        False,
        lambda found: found["ours small"]["first_step_s"] / found["stock small"]["first_step_s"],
    ),
    "batch of evaluation / its products": (1.3, 1.3, False, _over_products("evaluation")),
    "a token after 2,048 / after 64": (
        1.3,
        1.3,
        False,
        lambda found: found["decoding"]["2048"] / found["decoding"]["64"],
    ),
}


def ratios(rounds: Sequence[Round]) -> dict[str, dict[str, float]]:
    """Returns {name: the median ratio and its noise}, of those that all rounds have."""
    found = {}
    for name, (*_, of_round) in RATIOS.items():
        try:
            values = [of_round(one) for one in rounds]
        except KeyError:  # Stock or torch is not installed, or only some were measured.
            continue
        middle = median(values)
        found[name] = {"ratio": middle, "noise": max(abs(v - middle) for v in values)}
    return found


def has_native_bfloat16() -> bool:
    """Returns whether this processor multiplies bfloat16."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    return "avx512_bf16" in text or "amx_bf16" in text


def last_result(folder: pathlib.Path) -> tuple[str, dict[str, Any]] | None:
    """Returns the name of the newest file of results and what it holds; None without one."""
    files = sorted(folder.glob("step_*.json"))
    return (files[-1].name, json.loads(files[-1].read_text())) if files else None


def page(
    found: Mapping[str, Mapping[str, float]],
    rounds: Sequence[Round],
    native: bool,
    earlier: tuple[str, dict[str, Any]] | None,
) -> str:
    """Returns the page as markdown.

    Args:
        found: the result of `ratios`.
        rounds: what was measured.
        native: whether the processor multiplies bfloat16.
        earlier: the result of `last_result`.
    """
    lines = [
        f"# Steps, starts and tokens, {datetime.date.today().isoformat()}",
        "",
        f"{len(rounds)} round(s); {_processor()}, native bfloat16: {'yes' if native else 'no'}. "
        f"Activations: {'bfloat16' if native else 'float32'}; stock: float32. `benchmarks/step.py` "
        "says what is measured.",
        "",
        "| ratio | measured | noise | target | met |",
        "|---|---|---|---|---|",
    ]
    for name, values in found.items():
        *targets, is_large, _ = RATIOS[name]
        target = targets[0 if native else 1]
        met = values["ratio"] >= target if is_large else values["ratio"] <= target
        lines.append(
            f"| {name} | {values['ratio']:.2f} | {values['noise']:.2f} "
            f"| {'at least' if is_large else 'at most'} {target} | {'yes' if met else 'no'} |"
        )
    lines += ["", *_measured(rounds), "", *_changes(found, native, earlier)]
    return "\n".join(lines) + "\n"


def _measured(rounds):
    """Yields a table of what was measured, medians over the rounds."""
    yield "| measured | |"
    yield "|---|---|"
    for name in rounds[0]:
        values = {key: median(one[name][key] for one in rounds) for key in rounds[0][name]}
        cells = ", ".join(f"{key} {value:,.3f}" for key, value in values.items())
        yield f"| {name} | {cells} |"


def _changes(found, native, earlier):
    """Yields what differs from the earlier result by more than the noise of both."""
    if earlier is None:
        yield "There is no earlier result to compare with."
        return
    name, result = earlier
    if result["native_bfloat16"] != native:
        yield f"{name} is of a processor of the other kind, and is not compared."
        return
    changed = []
    for ratio, values in found.items():
        before = result["ratios"].get(ratio)
        if before is None:
            continue
        noise = before["noise"] + values["noise"]
        if abs(values["ratio"] - before["ratio"]) > noise:
            changed.append(f"- {ratio}: {before['ratio']:.2f} before, {values['ratio']:.2f} now.")
    yield (
        f"Compared with {name}, beyond the noise of both:"
        if changed
        else (f"No ratio differs from {name} by more than the noise of both.")
    )
    yield from changed


def _processor():
    """Returns the processor's name."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()
