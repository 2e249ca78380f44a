"""nanoGPT's CPU run on Tiny Shakespeare, as published, and with each optimizer at its best rate.

    .venv/bin/python benchmarks/optimizers.py --text tinyshakespeare.txt [--only published adamw]

The published run is gin/recipes/nanogpt_shakespeare.gin; nanoGPT's README reports 1.88 nats per
character for it. Then the same model and schedule (cosine after 100 steps of warm-up) with each
optimizer: at least five rates with seed 0, and further ones while the best is the lowest or highest
of them; then the best rate with another seed. The loss is that of the last checkpoint on the
whole validation split. Writes a dated markdown, JSON and PNG file to `benchmarks/results/` after
each run; an interrupted trial of the same day goes on.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import statistics
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))

from benchmarks import two_texts  # noqa: E402
from benchmarks.learning_rates import next_rate  # noqa: E402
from primer.launch import engine, evaluate, train  # noqa: E402

PUBLISHED = "published"
# Optimizer -> the rates that are tried first.
RATES = {
    "adafactor": [0.005, 0.01, 0.02, 0.04, 0.08],
    "adamw": [0.0005, 0.001, 0.002, 0.004, 0.008],
    "lamb": [0.0025, 0.005, 0.01, 0.02, 0.04],
    "lion": [0.0001, 0.0002, 0.0004, 0.0008, 0.0016],
    "muon": [0.001, 0.002, 0.004, 0.008, 0.016],
    "sgd": [0.02, 0.04, 0.08, 0.16, 0.32],
}
# Lion's rates are a tenth of AdamW's, and its decay ten times as large (the paper, section 5).
DECAYS = {"adafactor": 0.0, "lion": 1.0, "sgd": 0.0}
SEEDS = (0, 1)
TASK = "benchmarks.two_texts"
RECIPE = "recipes/nanogpt_shakespeare.gin"
LATEST = {"evaluate_checkpoints.checkpoints": "latest"}

Losses = dict[str, dict[str, dict[str, float]]]  # Optimizer -> rate -> seed -> nats.


def loss_of(optimizer: str, rate: float, seed: int, bindings: list[str]) -> float:
    """Trains once; returns the nats per character of the last checkpoint, inf if it diverged."""
    model_dir = pathlib.Path(os.environ[two_texts.VARIABLE], f"{optimizer}_{rate:g}_{seed}")
    shutil.rmtree(model_dir, ignore_errors=True)
    files = [RECIPE]
    if optimizer != PUBLISHED:
        files.append(f"optimizers/{optimizer}.gin")
        decay = DECAYS.get(optimizer, 0.1)
        bindings = [
            *bindings,
            "schedule = @cosine_schedule",
            f"learning_rate = {rate!r}",
            f"weight_decay = {decay!r}",
        ]
    run = train.TrainingRun(
        model=train.ModelChoice(architecture="gpt2", activation="gelu_exact", size="tiny"),
        model_dir=str(model_dir),
        task=str(ROOT / "benchmarks" / "two_texts.gin"),
        seed=seed,
        gin_file=files,
        gin_param=bindings,
        module_import=[TASK],
    )
    code = engine.run_main(train.engine_arguments(run))
    if code == 1:
        return float("inf")  # The loss is not finite: the rate is too high.
    if code:
        raise SystemExit(code)  # Interrupted.
    if engine.run_main(evaluate.engine_arguments(str(model_dir), trust=[TASK], **LATEST)):
        raise SystemExit(f"{model_dir} cannot be evaluated")
    (path,) = (model_dir / "eval").glob("*.jsonl")
    row = json.loads(path.read_text())
    shutil.rmtree(model_dir)
    return row["nats_per_token"]


def runs_of(optimizer: str, done: dict[str, dict[str, float]]) -> Iterator[tuple[float, int]]:
    """Yields the next (rate, seed) that `done` lacks, until the optimizer has all its runs."""
    if optimizer == PUBLISHED:
        yield from ((0.001, seed) for seed in SEEDS)
        return
    waiting = list(RATES[optimizer])
    while waiting:
        yield waiting.pop(0), SEEDS[0]
        first = {float(rate): losses[str(SEEDS[0])] for rate, losses in done.items()}
        following = None if waiting else next_rate(first)
        if following is not None:
            waiting.append(following)
    best = min(first, key=lambda rate: first[rate])
    yield from ((best, seed) for seed in SEEDS[1:])


def summary(losses: dict[str, dict[str, float]]) -> tuple[float, list[float]]:
    """Returns the best rate by seed 0, and the losses of all its seeds."""
    best = min(losses, key=lambda rate: losses[rate][str(SEEDS[0])])
    return float(best), list(losses[best].values())


def markdown(results: Losses) -> str:
    """Returns the page of results."""
    date = datetime.date.today().isoformat()
    lines = [
        f"# Optimizers on Tiny Shakespeare, {date}",
        "",
        "nanoGPT's CPU recipe (gin/recipes/nanogpt_shakespeare.gin): validation nats per character "
        "after 2,000 steps, whole split, each character after 1 to 64 others. nanoGPT's README "
        "reports 1.88 for the published run.",
        "",
        "| optimizer | best rate | nats per character | seeds | rates tried with seed 0 |",
        "|---|---|---|---|---|",
    ]
    for optimizer, losses in sorted(results.items(), key=lambda item: min(summary(item[1])[1])):
        rate, values = summary(losses)
        spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
        tried = ", ".join(
            f"{rate}: {found[str(SEEDS[0])]:.4f}"
            for rate, found in sorted(losses.items(), key=lambda item: float(item[0]))
        )
        lines.append(
            f"| {optimizer} | {rate:g} | {statistics.mean(values):.4f}{spread} | {len(values)} | "
            f"{tried} |"
        )
    lines += ["", "± is the standard deviation over seeds.", ""]
    return "\n".join(lines)


def draw(results: Losses, path: pathlib.Path) -> None:
    """Draws the loss by rate, one line for each optimizer."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for optimizer, losses in results.items():
        if optimizer == PUBLISHED:
            continue
        points = sorted((float(rate), found[str(SEEDS[0])]) for rate, found in losses.items())
        axes.plot(*zip(*points, strict=True), marker="o", label=optimizer)
    axes.axhline(1.88, color="0.5", linestyle=":", label="nanoGPT's README (AdamW)")
    axes.set(
        xscale="log",
        xlabel="highest learning rate",
        ylabel="validation nats per character",
        title="nanoGPT's CPU recipe with each optimizer, seed 0",
        ylim=(None, 2.6),
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main() -> None:
    """Runs what is missing of today's results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--text", type=pathlib.Path, required=True, help="tinyshakespeare.txt")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("/tmp/optimizers"))
    parser.add_argument("--only", nargs="*", default=[PUBLISHED, *RATES])
    options = parser.parse_args()
    bindings = two_texts.tiny_shakespeare(options.text, options.folder)
    stem = RESULTS / f"optimizers_{datetime.date.today().isoformat()}"
    data = stem.with_suffix(".json")
    results: Losses = json.loads(data.read_text()) if data.exists() else {}
    for optimizer in options.only:
        done = results.setdefault(optimizer, {})
        for rate, seed in runs_of(optimizer, done):
            found = done.setdefault(repr(rate), {})
            if str(seed) in found:
                continue
            found[str(seed)] = loss_of(optimizer, rate, seed, bindings)
            print(f"{optimizer}  {rate:g}  seed {seed}  {found[str(seed)]:.4f}", flush=True)
            data.write_text(json.dumps(results, indent=2) + "\n")
            stem.with_suffix(".md").write_text(markdown(results))
            draw(results, stem.with_suffix(".png"))


if __name__ == "__main__":
    main()
