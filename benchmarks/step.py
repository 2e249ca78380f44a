"""The speed of training, starting, evaluation and decoding: one table of ratios, one sitting.

    make bench

Tokens per second against the stock command (t5's main on TensorFlow 2.15.1, `stock_main.py`) and
against torch.compile of the same model (`torch_step.py`); steps of several architectures, and
batches of `primer eval`, over the matrix products in them (`model_step.py`); the time from the
command to the end of the first step; and the cost of a token after a long text. What is compared
runs in turn, round after round, in processes of its own; a ratio is the median over the rounds, and
its noise the largest distance of a round from it. Writes a dated markdown and JSON file to
`benchmarks/results/`, and says which ratios differ from the last file by more than the noise of
both. Rows that need .venv-tpu or .venv-torch are left out where those do not exist.
"""

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import step_report

ROOT = pathlib.Path(__file__).resolve().parents[1]
BENCHMARKS, RESULTS = ROOT / "benchmarks", ROOT / "benchmarks" / "results"
PYTHON = sys.executable
STOCK_PYTHON = str(ROOT / ".venv-tpu/bin/python")
TORCH_PYTHON = str(ROOT / ".venv-torch/bin/python")
VANILLA = "small_transformer_vanilla"
# Name of a size: rows, length, steps that count.
SIZES = {"small": (8, 128, 10), "medium": (4, 512, 3)}
# Steps of training after the first that do not count.
WARM_UP = 1
# Models whose step is measured with the products in it, and what they stand for.
MODELS = {
    VANILLA: "vanilla",
    "small_primer_ez": "Primer-EZ",
    "small_primer": "Primer",
    "switch_transformer": "experts (Switch)",
}
SMALLER = ["num_switch_blocks = 1", "num_experts = 8"]
COMPOSED = {
    "recurrence (Transformer-XL)": ["transformer_xl", "memory_length = 128"],
    "windows (64 of 512)": ["windowed_transformer", "window = 64"],
}


def output_of(words: list[str], **environment: str) -> str:
    """Runs a command in the repository and returns what it prints.

    Raises:
        SystemExit: the command failed; the message has the end of its errors.
    """
    done = subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stderr[-3000:]}")
    return done.stdout


def last_json(words: list[str], **environment: str) -> dict[str, float]:
    """Returns the JSON of the last line that a command prints."""
    return json.loads(output_of(words, **environment).splitlines()[-1])


def command(python: str, which: str, size: str, dtype: str, steps: int, folder: str) -> list[str]:
    """Returns the words of a run of t5's main, Primer's ("ours") or stock."""
    rows, length, _ = SIZES[size]
    params = [
        f"utils.run.batch_size = {rows}",
        f"utils.run.sequence_length = {{'inputs': 1, 'targets': {length}}}",
        f"utils.run.train_steps = {steps}",
        "utils.run.save_checkpoints_steps = 100000",
    ]
    own = "precision" if which == "ours" else "utils.get_variable_dtype"
    params.append(f"{own}.activation_dtype = '{dtype}'")
    return [
        python,
        str(BENCHMARKS / "timed_main.py"),
        which,
        f"--model_dir={folder}/model",
        "--module_import=t5_imports",
        f"--gin_location_prefix={ROOT / 'gin'}",
        "--gin_file=models/defaults.gin",
        f"--gin_file=models/{size}_transformer_vanilla.gin",
        "--gin_file=datasets/sotu.gin",
        *(f"--gin_param={text}" for text in params),
    ]


def trained(python: str, which: str, size: str, dtype: str) -> dict[str, float]:
    """Returns tokens per second and the seconds to the end of the first step of a run."""
    rows, length, steps = SIZES[size]
    with tempfile.TemporaryDirectory(prefix="step_") as folder:
        times = pathlib.Path(folder, "times")
        words = command(python, which, size, dtype, steps + WARM_UP + 1, folder)
        began = time.time()
        output_of(words, STEP_TIMES=str(times))
        ends = [float(line) for line in times.read_text().split()]
    seconds = [after - before for before, after in zip(ends, ends[1:])][WARM_UP:]
    return {
        "tokens_per_s": rows * length / step_report.median(seconds),
        "first_step_s": ends[0] - began,
    }


def torch_trained(size: str, dtype: str) -> dict[str, float]:
    """Returns tokens per second of torch.compile."""
    rows, length, steps = SIZES[size]
    script = str(BENCHMARKS / "torch_step.py")
    return last_json([TORCH_PYTHON, script, size, str(rows), str(length), str(steps), dtype])


def products(model: str, rows: int, length: int, mode: str, *bindings: str) -> dict[str, float]:
    """Returns the seconds of a step and of the products in it."""
    script = str(BENCHMARKS / "model_step.py")
    return last_json([PYTHON, script, model, str(rows), str(length), mode, *bindings])


def decoded() -> dict[str, float]:
    """Returns {length: the seconds of a token after a text of so many}."""
    return last_json([PYTHON, str(BENCHMARKS / "token_cost.py"), VANILLA])


def measurements(dtype: str) -> dict[str, Callable[[], dict[str, float]]]:
    """Returns what a round measures, by name."""
    found: dict[str, Callable[[], dict[str, float]]] = {}
    has_stock, has_torch = (os.path.exists(path) for path in (STOCK_PYTHON, TORCH_PYTHON))
    for size in SIZES:
        found[f"ours {size}"] = lambda size=size: trained(PYTHON, "ours", size, dtype)
        if has_stock:
            found[f"stock {size}"] = lambda size=size: trained(
                STOCK_PYTHON, "stock", size, "float32"
            )
        if has_torch:
            found[f"torch {size}"] = lambda size=size: torch_trained(size, dtype)
    binding = f"precision.activation_dtype = '{dtype}'"
    for model, name in MODELS.items():
        more = SMALLER if "switch" in model else []
        found[name] = lambda model=model, more=more: products(
            model, 8, 128, "train", binding, *more
        )
    for name, (architecture, setting) in COMPOSED.items():
        found[name] = lambda architecture=architecture, setting=setting: products(
            f"{architecture},relu,small", 2, 512, "train", binding, setting
        )
    found["evaluation"] = lambda: products(VANILLA, 8, 512, "eval")
    found["decoding"] = decoded
    return found


def main() -> None:
    """Measures, prints and writes both files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="names of measurements, such as 'ours small'")
    arguments = parser.parse_args()
    native = step_report.has_native_bfloat16()
    dtype = "bfloat16" if native else "float32"
    taken = measurements(dtype)
    if arguments.only:
        taken = {name: taken[name] for name in arguments.only}
    rounds: list[dict[str, dict[str, float]]] = []
    for _ in range(arguments.rounds):
        rounds.append({})
        for name, measure in taken.items():
            rounds[-1][name] = measure()
            print(name, {key: round(value, 3) for key, value in rounds[-1][name].items()})
            sys.stdout.flush()
    ratios = step_report.ratios(rounds)
    earlier = step_report.last_result(RESULTS)
    text = step_report.page(ratios, rounds, native, earlier)
    print(text)
    if arguments.only:
        return
    date = datetime.date.today().isoformat()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"step_{date}.md").write_text(text)
    result = {"native_bfloat16": native, "ratios": ratios, "rounds": rounds}
    (RESULTS / f"step_{date}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
