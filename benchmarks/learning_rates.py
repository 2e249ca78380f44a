"""The learning rates of `primer demo`: each model of the comparison trained with each of several.

    .venv/bin/python benchmarks/learning_rates.py [--rates 0.02 0.04 0.08]

A comparison against a badly tuned baseline is worth nothing, so every model gets the rate that is
best for it. Runs are the demo's own, whole (the best rate depends on their length), judged by the
last checkpoint on the whole validation split. Where the best is the lowest or the highest rate
that was tried, the next one outwards is tried as well. Writes a dated markdown and JSON file to
`benchmarks/results/`; the rate found there stands in `gin/run/demo.gin`.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))

from primer.experiments import contenders  # noqa: E402
from primer.launch import engine, evaluate  # noqa: E402

STEP = 2.0  # Between a rate and the next.
MOST = 7  # Rates of one model.

LATEST = {"evaluate_checkpoints.checkpoints": "latest"}


def loss_of(contender, rate, folder, bindings):
    """Trains once; returns the nats per token of the last checkpoint."""
    model_dir = folder / f"{contender.name}_{rate:g}"
    shutil.rmtree(model_dir, ignore_errors=True)
    binding = f"{contenders.RATE} = {rate!r}"
    train = contenders.train_arguments(contender, model_dir, bindings=[*bindings, binding])
    if engine.run_main(train):
        return float("inf")  # The loss was not finite any more: too high a rate.
    if engine.run_main(evaluate.engine_arguments(str(model_dir), **LATEST)):
        raise SystemExit(f"{model_dir} cannot be evaluated")
    (path,) = (model_dir / "eval").glob("*.jsonl")
    row = json.loads(path.read_text())
    shutil.rmtree(model_dir)
    return row["nats_per_token"]


def next_rate(losses):
    """The rate beyond the edge that is best so far, or None where the best has neighbours."""
    rates = sorted(losses)
    best = min(losses, key=losses.get)
    if len(rates) >= MOST or best not in (rates[0], rates[-1]):
        return None
    return best / STEP if best == rates[0] else best * STEP


def try_rates(contender, rates, folder, bindings, done):
    """Fills `done`, {rate: nats per token}; rates that it has are not tried again."""
    waiting = list(rates)
    while waiting:
        rate = waiting.pop(0)
        if rate not in done:
            done[rate] = loss_of(contender, rate, folder, bindings)
            print(f"{contender.label}  {rate:g}  {done[rate]:.4f} nats per token", flush=True)
            yield
        if not waiting and next_rate(done) is not None:
            waiting.append(next_rate(done))


def markdown(results, bindings):
    """One row a rate, one column a model; the best of each is bold."""
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


def write(results, bindings):
    """Both files, after every run: an interrupted trial goes on from there."""
    date = datetime.date.today().isoformat()
    RESULTS.mkdir(exist_ok=True)
    data = {"bindings": bindings, "nats_per_token": results}
    (RESULTS / f"learning_rates_{date}.json").write_text(json.dumps(data, indent=2) + "\n")
    (RESULTS / f"learning_rates_{date}.md").write_text(markdown(results, bindings))


def earlier(bindings):
    """What an interrupted trial of today has found already."""
    path = RESULTS / f"learning_rates_{datetime.date.today().isoformat()}.json"
    data = json.loads(path.read_text()) if path.exists() else {}
    if data.get("bindings") != bindings:
        return {}
    found = data["nats_per_token"]
    return {name: {float(rate): loss for rate, loss in v.items()} for name, v in found.items()}


def main():
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
