"""Finds the learning rates of `primer demo`: trains each of its models with several rates.

    .venv/bin/python benchmarks/learning_rates.py [--rates 0.02 0.04 0.08]

A comparison needs tuned baselines, so each model gets its best rate. Runs are those of the demo in
full length (on which the best rate depends); their last checkpoints are compared on the whole
validation split. If the best rate is the lowest or highest one, the next rate beyond it is tried
too. Writes a dated markdown and JSON file to `benchmarks/results/`; `gin/run/demo.gin` has the rate
found there.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator, Mapping

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))

from primer.experiments import contenders  # noqa: E402
from primer.launch import engine, evaluate  # noqa: E402

STEP = 2.0  # The ratio of neighbouring rates.
MOST = 7  # The largest number of rates of a model.

LATEST = {"evaluate_checkpoints.checkpoints": "latest"}


def loss_of(
    contender: contenders.Contender, rate: float, folder: pathlib.Path, bindings: list[str]
) -> float:
    """Trains once; returns the nats per token of the last checkpoint, inf if training diverged."""
    model_dir = folder / f"{contender.name}_{rate:g}"
    shutil.rmtree(model_dir, ignore_errors=True)
    binding = f"{contenders.RATE} = {rate!r}"
    train = contenders.train_arguments(contender, model_dir, bindings=[*bindings, binding])
    if engine.run_main(train):
        return float("inf")  # The loss is not finite: the rate is too high.
    if engine.run_main(evaluate.engine_arguments(str(model_dir), **LATEST)):
        raise SystemExit(f"{model_dir} cannot be evaluated")
    (path,) = (model_dir / "eval").glob("*.jsonl")
    row = json.loads(path.read_text())
    shutil.rmtree(model_dir)
    return row["nats_per_token"]


def next_rate(losses: Mapping[float, float], most: int = MOST) -> float | None:
    """Returns the rate beyond the best one, or None if the best one is not at an end.

    Args:
        losses: {rate: loss}, inf where training diverged.
        most: the number of rates from which no further one is tried.
    """
    rates = sorted(losses)
    best = min(losses, key=lambda rate: losses[rate])
    if len(rates) >= most or best not in (rates[0], rates[-1]):
        return None
    return best / STEP if best == rates[0] else best * STEP


def try_rates(
    contender: contenders.Contender,
    rates: list[float],
    folder: pathlib.Path,
    bindings: list[str],
    done: dict[float, float],
) -> Iterator[None]:
    """Adds {rate: nats per token} to `done`, without the rates it has; yields after each run."""
    waiting = list(rates)
    while waiting:
        rate = waiting.pop(0)
        if rate not in done:
            done[rate] = loss_of(contender, rate, folder, bindings)
            print(f"{contender.label}  {rate:g}  {done[rate]:.4f} nats per token", flush=True)
            yield
        following = None if waiting else next_rate(done)
        if following is not None:
            waiting.append(following)


def markdown(results: dict[str, dict[float, float]], bindings: list[str]) -> str:
    """Returns the page of results: a row per rate, a column per model, the best in bold."""
    date = datetime.date.today().isoformat()
    rates = sorted({rate for losses in results.values() for rate in losses})
    labels = {c.name: c.label for c in contenders.CONTENDERS}
    lines = [
        f"# Learning rates of the demo, {date}",
        "",
        "Validation nats per token at the end of the demo's training, whole split, by the peak of "
        "the learning rate (Adafactor, linear warm-up over the first tenth of the steps, linear "
        f"decay over the last half; seed 0{'; ' if bindings else ''}{'; '.join(bindings)}).",
        "",
        "| rate | " + " | ".join(labels[name] for name in results) + " |",
        "|---" * (1 + len(results)) + "|",
    ]
    for rate in rates:
        cells = []
        for losses in results.values():
            text = f"{losses[rate]:.4f}" if rate in losses else ""
            cells.append(f"**{text}**" if losses.get(rate) == min(losses.values()) else text)
        lines.append(f"| {rate:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write(results: dict[str, dict[float, float]], bindings: list[str]) -> None:
    """Writes both files; called after each run, so that an interrupted trial can be continued."""
    date = datetime.date.today().isoformat()
    RESULTS.mkdir(exist_ok=True)
    data = {"bindings": bindings, "nats_per_token": results}
    (RESULTS / f"learning_rates_{date}.json").write_text(json.dumps(data, indent=2) + "\n")
    (RESULTS / f"learning_rates_{date}.md").write_text(markdown(results, bindings))


def earlier(bindings: list[str]) -> dict[str, dict[float, float]]:
    """Returns the results of an interrupted trial of today."""
    path = RESULTS / f"learning_rates_{datetime.date.today().isoformat()}.json"
    data = json.loads(path.read_text()) if path.exists() else {}
    if data.get("bindings") != bindings:
        return {}
    results = data["nats_per_token"]
    return {name: {float(rate): loss for rate, loss in v.items()} for name, v in results.items()}


def main() -> None:
    """Tries the rates of all models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.02, 0.04, 0.08])
    parser.add_argument("--folder", default=str(ROOT / "build" / "learning_rates"))
    parser.add_argument("--gin_param", action="append", default=[])
    options = parser.parse_args()
    folder = pathlib.Path(os.path.abspath(options.folder))
    results = earlier(options.gin_param)
    for contender in contenders.CONTENDERS:
        done = results.setdefault(contender.name, {})
        for _ in try_rates(contender, options.rates, folder, options.gin_param, done):
            write(results, options.gin_param)
    print(markdown(results, options.gin_param))


if __name__ == "__main__":
    main()
