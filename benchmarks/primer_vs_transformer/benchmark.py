"""Is Primer better than the Transformer? Ten models at three sizes, with tuned rates and seeds.

    .venv/bin/python benchmarks/primer_vs_transformer/benchmark.py [--workers 2]

Finds the learning rate of each model at the smallest size (the sweep tuning.yaml, with rates that
are added until the best one is none of the ends), trains all models at all sizes with these rates
(finals.yaml), and writes the report. Both files are written here, and are plain sweeps that
`primer sweep` reads from the root of the repository. The same command goes on with what is not
done. README.md beside this file says what is compared.
"""

import argparse
import dataclasses
import math
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))

from benchmarks import learning_rates  # noqa: E402
from primer.experiments.ladders import rules, tuning  # noqa: E402
from primer.experiments.sweeps import expansion, sweep_file  # noqa: E402

VOCABULARY = HERE.relative_to(ROOT) / "sotu_2048.model"
TUNING, FINALS = HERE / "tuning.yaml", HERE / "finals.yaml"
PAGE = HERE / "report.html"
RUNS = pathlib.PurePath("../../runs/primer_vs_transformer")
MEMORY = ["memory_length = 128", "carry_memory = True"]
SWITCH = ["architectures/switch.gin"]

RATES = (0.002, 0.004, 0.008, 0.016)
MOST_RATES = 8  # Of a model.
TUNING_SEED = 0  # None of the seeds that are reported.
EXPONENT = -1 / 3  # Of the rate over the parameters, that of `primer ladder --rule sweep`.
PIECES = 2048


@dataclasses.dataclass(frozen=True)
class Model:
    """A model: an architecture, its activation, and further gin files and bindings."""

    architecture: str
    activation: str
    gin_file: tuple[str, ...] = ()
    gin_param: tuple[str, ...] = ()

    def settings(self) -> dict[str, Any]:
        """Returns its settings in a sweep."""
        own = dataclasses.asdict(self)
        return {key: list(v) if isinstance(v, tuple) else v for key, v in own.items()}


@dataclasses.dataclass(frozen=True)
class Size:
    """A size: its width, the steps of 2,048 tokens that its runs take, and their seeds."""

    width: int
    steps: int
    seeds: tuple[int, ...]

    @property
    def file(self) -> str:
        """The name of its gin file."""
        return f"width_{self.width}.gin"

    @property
    def parameters(self) -> int:
        """Those of four layers of the Transformer and of the output."""
        return 4 * 12 * self.width**2 + PIECES * self.width


MODELS = {
    "transformer": Model("transformer", "relu"),
    "transformer++": Model("transformer_plusplus", "swiglu"),
    "llama": Model("llama", "swiglu"),
    "primer_ez": Model("primer_ez", "squared_relu"),
    "primer": Model("primer", "squared_relu"),
    "primer_modern": Model("primer_modern", "squared_relu"),
    "switch": Model("transformer", "relu", gin_file=(*SWITCH,)),
    "switch_primer": Model("primer", "squared_relu", gin_file=(*SWITCH,)),
    "transformer_xl": Model("transformer_xl", "relu", gin_param=(*MEMORY,)),
    "transformer_xl_primer": Model(
        "transformer_xl_primer.gin", "squared_relu", gin_param=(*MEMORY,)
    ),
}
SIZES = (
    Size(64, steps=200, seeds=(1, 2, 3, 4, 5)),
    Size(128, steps=250, seeds=(1, 2, 3)),
    Size(192, steps=300, seeds=(1, 2)),
)
BASELINE = "transformer"

SHARED = {
    "task": "sotu",
    "optimizer": "adamw",
    "schedule": "wsd_s",
    # All models read one order of tokens, in which row b of a batch continues that of the last.
    "gin_file": ["objectives/lm_stream.gin"],
    "gin.task_vocabulary.name": "sentencepiece",
    "gin.task_vocabulary.model_file": str(VOCABULARY),
    "gin.utils.run.batch_size": 16,
    "gin.utils.run.sequence_length": {"inputs": 1, "targets": 128},
    "gin.utils.run.save_checkpoints_steps": 100_000,
    "gin.utils.run.keep_checkpoint_max": 1,
    "gin.warmup_steps": 20,
    "gin.wsd_s_schedule.decay_ends": [0.25, 0.5, 0.75, 1.0],
}


def write(path: pathlib.Path, shared: Mapping[str, Any], axes: Iterable[Mapping]) -> None:
    """Writes the file of a sweep."""
    head = f"# Written by {pathlib.Path(__file__).name}; run it from the root of the repository.\n"
    output = (RUNS / path.stem).as_posix()
    sweep = {"name": path.stem, "output": output, "run": {**SHARED, **shared}, "axes": list(axes)}
    text = yaml.safe_dump(sweep, sort_keys=False, default_flow_style=None, width=100)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(head + text, encoding="utf-8")
    os.replace(unfinished, path)


def zipped(rows: list[Mapping[str, Any]], **labels: list[str]) -> dict[str, Any]:
    """Returns an axis of settings that advance together, and the words that names have of them."""
    return {"zip": {key: [row[key] for row in rows] for key in rows[0]}, "label": labels}


def run(path: pathlib.Path, workers: int) -> bool:
    """Runs a sweep; returns whether all its runs are done."""
    words = ["sweep", "run", str(path), "--workers", str(workers)]
    command = [sys.executable, "-m", "primer", *words]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def tuned(workers: int) -> dict[str, tuning.Tuned]:
    """Trains the models of the smallest size until none of their best rates is an end."""
    rates = {name: list(RATES) for name in MODELS}
    while True:
        write_tuning(rates)
        run(TUNING, workers)  # A rate may be too high for its run to end; tuning then has no loss.
        found = losses(rates)
        more = {name: next_rate(one) for name, one in found.items()}
        if not any(more.values()):
            return found
        for name, rate in more.items():
            rates[name] = sorted({*rates[name], *([rate] if rate else [])})


def write_tuning(rates: Mapping[str, list[float]]) -> None:
    """Writes the sweep of learning rates."""
    smallest = SIZES[0]
    pairs = [(name, rate) for name in MODELS for rate in rates[name]]
    rows = [{**MODELS[name].settings(), "learning_rate": rate} for name, rate in pairs]
    axis = zipped(
        rows, model=[name for name, _ in pairs], learning_rate=[f"{rate:g}" for _, rate in pairs]
    )
    own = {"size": smallest.file, "steps": smallest.steps, "eval_every": smallest.steps}
    write(TUNING, {**own, "seed": TUNING_SEED}, [axis])


def losses(rates: Mapping[str, list[float]]) -> dict[str, tuning.Tuned]:
    """Returns what tuning has found for each model, nan for a run without a finite loss."""
    runs = {one.name: one for one in expansion.expand(sweep_file.read(str(TUNING)))}
    return {
        name: tuning.Tuned(
            {rate: tuning.loss_of(runs[f"model={name},learning_rate={rate:g}"]) for rate in own}
        )
        for name, own in rates.items()
    }


def next_rate(found: tuning.Tuned) -> float | None:
    """Returns the rate beyond the best one, or None if the best one is not at an end."""
    if not any(map(math.isfinite, found.losses.values())):
        raise SystemExit("no rate came to a loss: look at the logs of tuning.yaml")
    known = {rate: loss if math.isfinite(loss) else math.inf for rate, loss in found.losses.items()}
    rate = learning_rates.next_rate(known, MOST_RATES)
    return None if rate is None else rules.rounded(rate)


def write_finals(rates: Mapping[str, float]) -> None:
    """Writes the sweep of all models at all sizes.

    Args:
        rates: {model: its rate at the smallest size}.
    """
    sizes = [
        {"size": size.file, "steps": size.steps, "eval_every": size.steps // 4} for size in SIZES
    ]
    axes: list[dict[str, Any]] = [zipped(sizes, size=[str(size.width) for size in SIZES])]
    for size in SIZES:
        factor = (size.parameters / SIZES[0].parameters) ** EXPONENT
        rows = [
            {**model.settings(), "learning_rate": rules.rounded(rates[name] * factor)}
            for name, model in MODELS.items()
        ]
        axes.append({**zipped(rows, model=list(MODELS)), "when": {"size": size.file}})
        axes.append({"seed": list(size.seeds), "when": {"size": size.file}})
    write(FINALS, {}, axes)


def write_report() -> int:
    """Writes the report on all models, each compared with the baseline of its size."""
    words = [str(FINALS), "--baseline", f"model={BASELINE}", "--output", str(PAGE), "--overwrite"]
    command = [sys.executable, "-m", "primer", "report", *words]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def main() -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="runs at a time (default: 2)")
    options = parser.parse_args()
    found = tuned(options.workers)
    for name, one in found.items():
        print(one.sentence(name), flush=True)
    write_finals({name: one.best for name, one in found.items()})
    if not run(FINALS, options.workers):
        return 1
    return write_report()


if __name__ == "__main__":
    sys.exit(main())
