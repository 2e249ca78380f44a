"""Speed of evaluation against the stock command: sentences, long documents, ten checkpoints.

    make env env-tpu && .venv/bin/python benchmarks/evaluate.py

One small_primer with ten checkpoints after ten steps of training (the time does not depend on the
weights). Stock is t5's unpatched main on TensorFlow 2.15.1 (`stock_main.py`), with `mode =
"perplexity_eval"`. On the same sentences of about thirty tokens, in windows of 512: real tokens per
second of a median batch of stock's, and of a median checkpoint of `primer eval`. On whole
addresses: the share of the machine's matrix product that `primer eval` reaches. All ten checkpoints
on forty sentences with both commands and `primer eval`, in turn and twice: wall time and memory.
All figures are of one session. Writes a dated markdown file to `benchmarks/results/`.

This process imports no large package: a child process inherits the peak memory of its parent.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MODEL, LENGTH, ROWS = "small_primer", 512, 4
CHECKPOINTS = 10
STOCK_STEPS = 25  # Batches of ROWS sentences, the first WARM_UP of which do not count.
WARM_UP = 5
TEN_STEPS = 10  # Batches that each of the ten checkpoints is evaluated on.
HALF, ALL = 0.5, 0.999999  # Shares of the sentences that are the validation split.


def main() -> None:
    """Measures and writes the page of results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--tpu_python", default=str(ROOT / ".venv-tpu/bin/python"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="evaluate_") as folder:
        results = measure(pathlib.Path(folder), options)
    date = datetime.date.today().isoformat()
    path = RESULTS / f"evaluate_{date}.md"
    path.write_text(markdown(results, date))
    print(path.read_text())


def measure(folder: pathlib.Path, options: argparse.Namespace) -> dict[str, Any]:
    """Returns all figures, by the name of the measurement."""
    sentences, few, addresses = texts(folder, options)
    trained = train(folder, sentences, options)
    long = with_texts(trained, folder / "long", addresses, "file")
    return {
        "stock sentences": stock_sentences(trained, sentences, options),
        "sentences": ours(trained, options, "packed", "all"),
        "documents": ours(long, options, "stream", "latest"),
        "limit": matrix_product(options),
        **ten_checkpoints(trained, few, options),
        "stock imports": imports(options.tpu_python, "import stock_main"),
        "imports": imports(
            options.python, "from t5.models import mesh_transformer_main; import t5_imports"
        ),
        "operations": operations(trained, options),
    }


def texts(folder: pathlib.Path, options: argparse.Namespace) -> tuple[str, str, str]:
    """Writes sentences, a line each, a few of them, and whole addresses; returns the patterns."""
    for name in ("sentences", "few", "addresses"):
        (folder / name).mkdir()
    lines = []
    for path in addresses_of_the_package(options):
        text = pathlib.Path(path).read_text()
        (folder / "addresses" / pathlib.Path(path).name).write_text(text)
        sentences = re.split(r"(?<=[.?!])\s+", text)
        lines += [" ".join(s.split()) for s in sentences if 12 <= len(s.split()) <= 40]
    (folder / "sentences" / "all.txt").write_text("\n".join(lines[:1600]) + "\n")
    (folder / "few" / "few.txt").write_text("\n".join(lines[: TEN_STEPS * ROWS]) + "\n")
    return f"{folder}/sentences/*.txt", f"{folder}/few/*.txt", f"{folder}/addresses/*.txt"


def addresses_of_the_package(options: argparse.Namespace) -> list[str]:
    """Returns the paths of the State of the Union addresses of the validation split."""
    code = "from primer.data.sources import sotu; print(*sotu.paths('validation'), sep='\\n')"
    words = [options.python, "-c", code]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=variables, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def settings(glob: str, unit: str, held_out: float = HALF) -> list[str]:
    """Returns gin's bindings of the texts and of the batches."""
    return [
        f"text_files.glob = {glob!r}",
        f"text_files.unit = {unit!r}",
        f"text_files.held_out = {held_out}",
        f"utils.run.batch_size = {ROWS}",
        f"utils.run.sequence_length = {{'inputs': 1, 'targets': {LENGTH}}}",
    ]


def train(folder: pathlib.Path, sentences: str, options: argparse.Namespace) -> pathlib.Path:
    """Trains ten steps; returns the directory with ten checkpoints."""
    model_dir = folder / "model"
    params = [
        *settings(sentences, "line"),
        f"utils.run.train_steps = {CHECKPOINTS}",
        "utils.run.save_checkpoints_steps = 1",
        f"utils.run.keep_checkpoint_max = {CHECKPOINTS}",
    ]
    command(
        [options.python, "-m", "primer", "train", f"--model={MODEL}", "--task=text"]
        + [f"--model_dir={model_dir}", *(f"--gin_param={text}" for text in params)]
    )
    return model_dir


def with_texts(model_dir: pathlib.Path, target: pathlib.Path, glob: str, unit: str) -> pathlib.Path:
    """Copies the last checkpoint to `target`, with other texts; returns `target`."""
    target.mkdir()
    for path in model_dir.iterdir():
        if path.is_file() and (f"ckpt-{CHECKPOINTS}." in path.name or "ckpt" not in path.name):
            shutil.copy(path, target)
    config = target / "config.gin"
    text = re.sub(
        r"(?m)^text_files\.glob = .*(\n +.*)*", f"text_files.glob = {glob!r}", config.read_text()
    )
    config.write_text(re.sub(r"(?m)^text_files\.unit = .*", f"text_files.unit = {unit!r}", text))
    return target


def stock(
    model_dir: pathlib.Path,
    glob: str,
    steps: int,
    checkpoint: int | str,
    options: argparse.Namespace,
    held_out: float = HALF,
) -> list[str]:
    """Returns the stock command of an evaluation as in its README.

    It has no objective, so that a row is a sentence and padding.
    """
    params = [
        *settings(glob, "line", held_out),
        'MIXTURE_NAME = "text"',
        'task_vocabulary.name = "sotu"',
        'utils.run.model_type = "lm"',
        'utils.run.mode = "perplexity_eval"',
        'utils.run.dataset_split = "validation"',
        f"utils.run.perplexity_eval_steps = {steps}",
        f"utils.run.eval_checkpoint_step = {checkpoint}",
        "utils.get_variable_dtype.master_dtype = 'float32'",
        "utils.get_variable_dtype.slice_dtype = 'float32'",
        "utils.get_variable_dtype.activation_dtype = 'float32'",
    ]
    files = ["dataset.gin", "models/defaults.gin", f"models/{MODEL}.gin", "perplexity_eval.gin"]
    return [
        options.tpu_python,
        str(ROOT / "benchmarks" / "timed_main.py"),
        "stock",
        f"--model_dir={model_dir}",
        "--module_import=t5_imports",
        f"--gin_location_prefix={ROOT / 'gin'}",
        *(f"--gin_file={name}" for name in files),
        *(f"--gin_param={text}" for text in params),
    ]


def ten_checkpoints(
    model_dir: pathlib.Path, few: str, options: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Returns {"seconds", "peak"} of the stock command, of the same by Primer and of `primer eval`.

    Each runs twice and the faster run counts, because processors slow down for minutes.
    """
    stock_words = stock(model_dir, few, TEN_STEPS, '"all"', options, held_out=ALL)
    words = {
        "stock ten": stock_words,
        "ten": [options.python, stock_words[1], "ours", *stock_words[3:]],
        "whole ten": [options.python, "-m", "primer", "eval", f"--model_dir={model_dir}"]
        + ["--protocol=packed", "--again"]
        + [f"--gin_param=text_files.glob = {few!r}", f"--gin_param=text_files.held_out = {ALL}"],
    }
    runs = [{name: command(own) for name, own in words.items()} for _ in range(2)]
    return {
        name: {
            "seconds": min(run[name]["seconds"] for run in runs),
            "peak": max(run[name]["peak"] for run in runs),
        }
        for name in words
    }


def imports(python: str, code: str) -> dict[str, Any]:
    """Returns the time and memory of imports alone."""
    return command([python, "-c", f"import sys; sys.path.append('benchmarks'); {code}"])


def stock_sentences(
    model_dir: pathlib.Path, sentences: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Returns the seconds of stock's median batch of sentences ("batch"), and `command`'s."""
    done = command(stock(model_dir, sentences, STOCK_STEPS, CHECKPOINTS, options))
    ends = done.pop("ends")
    seconds = [after - before for before, after in zip(ends, ends[1:])][WARM_UP:]
    return {"batch": statistics.median(seconds), **done}


def command(words: Iterable[object]) -> dict[str, Any]:
    """Runs a command; returns {"seconds", "peak" (bytes), "ends" (of its steps), "notes"}."""
    with tempfile.TemporaryDirectory() as folder:
        times, notes = pathlib.Path(folder, "steps"), pathlib.Path(folder, "notes")
        variables = {"STEP_TIMES": str(times), "EVAL_TIMES": str(notes), "PYTHONPATH": str(ROOT)}
        began = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, words)),
            cwd=ROOT,
            env={**os.environ, **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        errors = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{words}\n{errors[-3000:]}")
        return {
            "seconds": time.perf_counter() - began,
            "peak": usage.ru_maxrss * 1024,
            "ends": list(map(float, times.read_text().split())) if times.exists() else [],
            "notes": json.loads(notes.read_text()) if notes.exists() else [],
        }


def ours(
    model_dir: pathlib.Path, options: argparse.Namespace, protocol: str, checkpoints: str
) -> dict[str, Any]:
    """Returns the tokens per second of a median checkpoint ("rate"), and other figures."""
    words = [options.python, ROOT / "benchmarks" / "timed_eval.py", f"--model_dir={model_dir}"]
    done = command([*words, f"--protocol={protocol}", f"--checkpoints={checkpoints}"])
    notes = done.pop("notes")
    seconds = {
        what: [note["seconds"] for note in notes if note["what"] == what]
        for what in ("read", "build", "score", "evaluate")
    }
    (path,) = (model_dir / "eval").glob(f"*_{protocol}.jsonl")
    row = json.loads(path.read_text().splitlines()[-1])
    return {
        "tokens": row["tokens"],
        "documents": row["documents"],
        "rate": row["tokens"] / statistics.median(seconds["evaluate"]),
        "read": sum(seconds["read"]),
        "around": 1 - sum(seconds["score"]) / sum(seconds["evaluate"]),
        **done,
    }


def matrix_product(options: argparse.Namespace) -> float:
    """Returns the floating-point operations per second of the fastest of ten large products."""
    code = (
        "import os, time; os.environ['CUDA_VISIBLE_DEVICES'] = ''\n"
        "import tensorflow as tf\n"
        "a, b = (tf.random.normal([4096, 4096]) for _ in range(2))\n"
        "best = 1e9\n"
        "for _ in range(10):\n"
        "    began = time.perf_counter(); tf.matmul(a, b).numpy()\n"
        "    best = min(best, time.perf_counter() - began)\n"
        "print(2 * 4096**3 / best)"
    )
    done = subprocess.run([options.python, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def operations(model_dir: pathlib.Path, options: argparse.Namespace) -> int:
    """Returns the floating-point operations of the matrix products for one token.

    Two for each weight of a matrix, and those of attention with every token of the window, masked
    ones included.
    """
    code = (
        "import sys, tensorflow as tf\n"
        "shapes = tf.train.load_checkpoint(sys.argv[1]).get_variable_to_shape_map()\n"
        "own = {n: s for n, s in shapes.items() if len(s) > 1 and '_slot_' not in n}\n"
        "queries = [s for n, s in own.items() if n.endswith('/o')]\n"
        "print(sum(tf.TensorShape(s).num_elements() for s in own.values()),\n"
        "      sum(tf.TensorShape(s).num_elements() // s[-1] for s in queries))"
    )
    words = [options.python, "-c", code, str(model_dir / f"model.ckpt-{CHECKPOINTS}")]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    weights, width = map(int, done.stdout.split())
    return 2 * weights + 2 * 2 * LENGTH * width


def markdown(results: dict[str, Any], date: str) -> str:
    """Returns the page of results."""
    stock_, own, long = results["stock sentences"], results["sentences"], results["documents"]
    per_sentence = own["tokens"] / own["documents"]
    stock_rate = ROWS * per_sentence / stock_["batch"]
    reached = long["rate"] * results["operations"] / results["limit"]
    lines = [
        f"# Evaluation, {date}",
        "",
        f"`benchmarks/evaluate.py`: {MODEL}, windows of {LENGTH} tokens, float32, "
        f"{platform.machine()}, {os.cpu_count()} processors. Stock: t5 on TensorFlow 2.15.1, "
        "TPUEstimator.",
        "",
        f"| sentences of {per_sentence:.1f} tokens | tokens/s, padding not counted |",
        "|---|---|",
        f"| stock `perplexity_eval`, a sentence a row | {stock_rate:,.0f} |",
        f"| `primer eval --protocol packed` | {own['rate']:,.0f} |",
        f"| ratio | {own['rate'] / stock_rate:.1f} |",
        "",
        f"Whole addresses (`stream`): {long['rate']:,.0f} tokens/s, {reached:.0%} of this "
        f"machine's matrix product ({results['limit'] / 1e9:,.0f} GFLOP/s).",
        "",
        f"Reading and tokenizing took {own['read']:.1f} s of {own['seconds']:.1f} s (sentences), "
        f"{long['read']:.1f} s of {long['seconds']:.1f} s (addresses); cutting and summing "
        f"{own['around']:.1%} and {long['around']:.1%} of scoring.",
        "",
        *table_of_ten(results),
        "",
        f"Imports alone: {results['stock imports']['peak'] / 1e6:,.0f} MB of stock's, "
        f"{results['imports']['peak'] / 1e6:,.0f} MB of ours.",
        "",
        f"`primer eval --checkpoints all` scored a whole split of {own['documents']:,} sentences "
        f"under all {CHECKPOINTS} checkpoints in {own['seconds']:,.0f} s.",
    ]
    return "\n".join(lines) + "\n"


def table_of_ten(results: dict[str, Any]) -> list[str]:
    """Returns the lines about ten checkpoints: wall time, memory, and their shares of stock's."""
    lines = [
        f"| {CHECKPOINTS} checkpoints, {TEN_STEPS * ROWS} sentences, faster of two "
        "| wall seconds | of stock's | peak MB | of stock's |",
        "|---|---|---|---|---|",
    ]
    base = results["stock ten"]
    for title, name in (
        ("stock `perplexity_eval`", "stock ten"),
        ("our `perplexity_eval`, the same numbers", "ten"),
        ("`primer eval --protocol packed`", "whole ten"),
    ):
        own = results[name]
        lines.append(
            f"| {title} | {own['seconds']:,.0f} | {own['seconds'] / base['seconds']:.2f} "
            f"| {own['peak'] / 1e6:,.0f} | {own['peak'] / base['peak']:.2f} |"
        )
    return lines


if __name__ == "__main__":
    main()
