"""Speed of the input pipeline, the time that training waits for it, and the cost of preparation.

    make env && .venv/bin/python benchmarks/data.py [--megabytes 1000]

On the addresses of the package `sotu` (2.2 million tokens of 8,192 pieces):

- tokens per second of training rows, from prepared data and from raw text, which is tokenized once
  before the first row;
- the share of a training step of the demo's Primer in which its graph waits for the next batch, by
  TensorFlow's trace of the steps;
- `primer data prepare` against its tokenizer alone, in one process, on documents and on lines;
- its memory for inputs of two sizes, made by repetition.

Rates are per second of processor time of all threads, with the process bound to one processor:
other work on the machine changes them little, and the ratios less. Writes a dated markdown file to
`benchmarks/results/`.
"""

import argparse
import datetime
import functools
import json
import math
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

from primer.runtime import import_hook  # noqa: E402

import_hook.install()

if TYPE_CHECKING:
    from primer.data.prepared.prepare import Preparation

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
LENGTH = 512
ROWS = 32
SECONDS = 20.0
WARM_UP = 100  # Batches until the buffers are full and the first epoch is over.
TRACED = range(5, 20)  # Training steps.
PREPARED_MEGABYTES = 50
CACHED = "mesh_train_dataset_fn.use_cached = True"


def main() -> None:
    """Measures, or runs one of the measured processes (the hidden options)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the larger input")
    parser.add_argument("--prepare", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--wait", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.wait:
        train_and_report(*options.wait)
        return
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if options.prepare:
        prepare_and_report(*options.prepare)
        return
    with tempfile.TemporaryDirectory() as folder:
        results = {
            "training": training_input(folder),
            "waiting": [waiting(folder, kind) for kind in ("prepared", "raw")],
            "preparing": [preparing(folder, unit) for unit in ("file", "line")],
            "memory": memories(folder, options.megabytes),
        }
    write(results)


def training_input(folder: str) -> dict[str, float]:
    """Returns tokens per second of training rows: {"prepared", "raw"}."""
    import seqio

    from primer.data.prepared import plan, prepare

    configure()
    prepare.prepare(plan.make_plan("sotu", os.path.join(folder, "cache")), write_shards)
    seqio.add_global_cache_dirs([os.path.join(folder, "cache")])
    return {"prepared": rate_of_rows(True), "raw": rate_of_rows(False)}


def configure() -> None:
    """Binds T5's objective, which joins sixteen addresses at a time."""
    import gin
    from t5.models import mesh_transformer  # noqa: F401  Registers what the file names.

    from primer.commands.data import inspect
    from primer.data import preflight  # noqa: F401  Registers the tasks.

    gin.parse_config_file(inspect.lm_objective_file())
    gin.bind_parameter("reduce_concat_tokens.batch_size", 16)


def write_shards(preparation: "Preparation") -> None:
    """Writes the remaining shards of a data set in this process."""
    from primer.data.prepared import pool

    pool.write_shards(
        preparation.plan, preparation.remaining, 1, None, lambda size: None, lambda index: None
    )


def rate_of_rows(use_cached: bool) -> float:
    """Returns tokens per second of batches drawn for SECONDS, after WARM_UP batches."""
    from t5.models import mesh_transformer

    from primer.common import tf_data

    def batches():
        rows = mesh_transformer.mesh_train_dataset_fn(
            "sotu", {"inputs": 1, "targets": LENGTH}, seed=1, use_cached=use_cached
        )
        return rows.batch(ROWS)

    drawn = tf_data.elements(batches)
    for _ in range(WARM_UP):
        next(drawn)
    started, tokens = time.process_time(), 0
    while time.process_time() - started < SECONDS:
        tokens += int((next(drawn)["targets"] != 0).sum())
    return tokens / (time.process_time() - started)


def waiting(folder: str, kind: str) -> dict[str, Any]:
    """Returns {"kind", "wait", "step", "share"} of training with all processors."""
    own = [sys.executable, __file__, "--wait", kind, folder]
    all_processors = range(os.cpu_count() or 1)
    free = functools.partial(os.sched_setaffinity, 0, all_processors)
    done = subprocess.run(own, check=True, stdout=subprocess.PIPE, text=True, preexec_fn=free)
    return {"kind": kind, **json.loads(done.stdout.splitlines()[-1])}


def train_and_report(kind: str, folder: str) -> None:
    """Trains the demo's Primer in a separate process, traced, and prints the median step."""
    import tensorflow.compat.v1 as tf

    from primer import cli

    traces, stock = [], tf.Session.run

    def traced(session, fetches, feed_dict=None, **options):
        metadata = tf.RunMetadata()
        trace = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
        result = stock(session, fetches, feed_dict, options=trace, run_metadata=metadata)
        traces.append(step_times(metadata))
        return result

    tf.Session.run = traced
    words = ["train", "--architecture=primer", "--activation=squared_relu", "--size=demo"]
    words += ["--task=sotu", f"--steps={TRACED.stop}", f"--model_dir={folder}/{kind}"]
    if kind == "prepared":
        import seqio

        seqio.add_global_cache_dirs([f"{folder}/cache"])
        words.append(f"--gin_param={CACHED}")
    try:
        cli.main(words)
    except SystemExit as end:
        if end.code:
            raise
    steps = [trace for trace in traces if trace and trace[0] is not None][TRACED.start :]
    print(
        json.dumps(
            {
                "wait": statistics.median(wait for wait, _ in steps),
                "step": statistics.median(step for _, step in steps),
                "share": sum(wait for wait, _ in steps) / sum(step for _, step in steps),
            }
        )
    )


def step_times(metadata: Any) -> tuple[float | None, float] | None:
    """Returns the seconds a step waited for its batch (None if it reads none), and its seconds.

    Args:
        metadata: a `tf.RunMetadata`.
    """
    nodes = [node for device in metadata.step_stats.dev_stats for node in device.node_stats]
    if not nodes:
        return None
    begin = min(node.all_start_micros for node in nodes)
    end = max(node.all_start_micros + node.all_end_rel_micros for node in nodes)
    waits = [n.all_end_rel_micros for n in nodes if n.node_name.startswith("IteratorGetNext")]
    return (sum(waits) / 1e6 if waits else None), (end - begin) / 1e6


def preparing(folder: str, unit: str) -> dict[str, Any]:
    """Returns tokens per second of preparation and its tokenizer: {"unit", "prepare", ...}."""
    import gin
    import sentencepiece
    import seqio

    from primer.common import tf_data
    from primer.data.prepared import plan, prepare, shard
    from primer.data.sources import readers
    from primer.data.vocabularies import task_vocabulary

    gin.bind_parameter("text_files.glob", corpus(folder, PREPARED_MEGABYTES, unit))
    gin.bind_parameter("text_files.unit", unit)
    task = seqio.TaskRegistry.get("text")
    texts = [
        batch for _, batch in shard.batch_texts(shard.read_texts(task, 0, 1, readers.SkipCounts()))
    ]
    vocabulary = task.output_features["targets"].vocabulary
    tokenizer = tf_data.TextFunction(functools.partial(shard.tokenize, vocabulary))
    python = sentencepiece.SentencePieceProcessor(model_file=task_vocabulary.SOTU_MODEL)

    def whole():
        plan_of_corpus = plan.make_plan("text", tempfile.mkdtemp(dir=folder))
        return prepare.prepare(plan_of_corpus, write_shards)

    alone, tokens = timed(lambda: sum(len(tokenizer(batch)[0]) for batch in texts))
    other, _ = timed(lambda: sum(len(python.encode(t.decode())) for b in texts for t in b))
    seconds, _ = timed(whole)
    return {
        "unit": unit,
        "tokens": tokens / sum(map(len, texts)),
        "tokenizer": tokens / alone,
        "python": tokens / other,
        "prepare": tokens / seconds,
        "share": alone / seconds,
    }


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Returns the seconds of processor time of the fastest of three calls, and the last result."""
    best = math.inf
    for _ in range(3):
        started = time.process_time()
        result = function()
        best = min(best, time.process_time() - started)
    return best, result


def corpus(folder: str, megabytes: int, unit: str) -> str:
    """Writes files of addresses of a size in all, one file for lines; returns their pattern."""
    from primer.data.sources import sotu

    target = pathlib.Path(tempfile.mkdtemp(dir=folder))
    texts = [pathlib.Path(name).read_bytes() for name in sotu.paths("train")]
    if unit == "line":
        texts = [b"".join(line + b"\n" for line in b"\n".join(texts).split(b"\n") if line.strip())]
    left, number = megabytes * 1_000_000, 0
    while left > 0:
        for text in texts:
            text = text[: max(0, left)]
            name = "lines.txt" if unit == "line" else f"{number}.txt"
            with open(target / name, "ab") as file:
                file.write(text)
            left, number = left - len(text), number + 1
            if left <= 0:
                break
    return str(target / "*.txt")


def memories(folder: str, megabytes: int) -> list[dict[str, Any]]:
    """Returns the `memory` of two sizes of input."""
    return [memory(folder, size) for size in (max(1, megabytes // 10), megabytes)]


def memory(folder: str, megabytes: int) -> dict[str, Any]:
    """Returns the cost of preparing a text: {"megabytes", "peak" (bytes), "seconds", "tokens"}."""
    pattern = corpus(folder, megabytes, "line")
    command = [sys.executable, __file__, "--prepare", pattern, tempfile.mkdtemp(dir=folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    os.remove(pattern.replace("*", "lines"))
    return {"megabytes": megabytes, **json.loads(done.stdout.splitlines()[-1])}


def prepare_and_report(pattern: str, output: str) -> None:
    """Prepares a file in a separate process, a line a document, and prints memory and time."""
    import gin

    from primer.data import preflight  # noqa: F401  Registers the tasks.
    from primer.data.prepared import plan, prepare

    gin.bind_parameter("text_files.glob", pattern)
    gin.bind_parameter("text_files.unit", "line")
    started = time.process_time()
    manifest, _ = prepare.prepare(plan.make_plan("text", output), write_shards)
    report = {
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "seconds": time.process_time() - started,
        "tokens": sum(counts["tokens"] for counts in manifest["splits"].values()),
    }
    print(json.dumps(report))


def write(results: dict[str, Any]) -> None:
    """Writes and prints the page of results."""
    today = datetime.date.today()
    path = RESULTS / f"data_{today:%Y-%m-%d}.md"
    path.write_text(markdown(results, today))
    print(path.read_text())


def markdown(results: dict[str, Any], today: datetime.date) -> str:
    """Returns the page of results."""
    import tensorflow as tf

    return (
        "\n".join(
            [
                f"# Data in, {today:%Y-%m-%d}",
                "",
                f"`benchmarks/data.py`, Python {platform.python_version()}, "
                f"TensorFlow {tf.__version__}, {platform.machine()}, one processor; rates per "
                "second of processor time. Text of the package `sotu`, 8,192 pieces.",
                "",
                *training_table(results["training"]),
                *waiting_table(results["waiting"]),
                *preparing_table(results["preparing"]),
                *memory_table(results["memory"]),
            ]
        )
        + "\n"
    )


def training_table(rates: dict[str, float]) -> list[str]:
    """Returns the lines about `training_input`."""
    return [
        f"| training rows of {LENGTH} tokens, objective `lm` | tokens/s | goal |",
        "|---|---|---|",
        f"| from prepared data | {rates['prepared']:,.0f} | 1,000,000 |",
        f"| from raw text, SentencePiece | {rates['raw']:,.0f} | 200,000 |",
        "",
    ]


def waiting_table(results: list[dict[str, Any]]) -> list[str]:
    """Returns the lines about `waiting`."""
    rows = [
        f"| {row['kind']} | {row['wait'] * 1e3:,.2f} | {row['step'] * 1e3:,.0f} | "
        f"{row['share']:.2%} |"
        for row in results
    ]
    return [
        f"Training the demo's Primer (steps {TRACED.start} to {TRACED.stop}, {os.cpu_count()} "
        "processors), by TensorFlow's trace of each step; goal: under 2%.",
        "",
        "| data | ms of a step waiting for its batch | ms of a step | share of all |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def preparing_table(results: list[dict[str, Any]]) -> list[str]:
    """Returns the lines about `preparing`."""
    kinds = {"file": "whole addresses", "line": "paragraphs, a line each"}
    rows = [
        f"| {kinds[row['unit']]} | {row['prepare']:,.0f} | {row['tokenizer']:,.0f} | "
        f"{row['share']:.2f} | {row['python']:,.0f} |"
        for row in results
    ]
    return [
        f"Preparing {PREPARED_MEGABYTES} MB in one process; goal: 0.90 of its tokenizer's speed.",
        "",
        "| documents | tokens/s, `primer data prepare` | its tokenizer alone | share | the package "
        "sentencepiece alone |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "The tokenizer is TensorFlow Text's SentencePiece, as in training from raw text. The "
        "Python package is faster, but chooses differently between pieces of nearly equal score: "
        "its tokens would differ from those of raw text (see `primer/data/whole_documents.py`).",
        "",
    ]


def memory_table(results: list[dict[str, Any]]) -> list[str]:
    """Returns the lines about `memories`."""
    rows = [
        f"| {row['megabytes']:,} MB of text | {row['tokens']:,} | {row['seconds']:,.0f} | "
        f"{row['peak'] / 1e6:,.0f} |"
        for row in results
    ]
    return [
        "| memory of preparing, a line a document | tokens | processor seconds | peak MB |",
        "|---|---|---|---|",
        *rows,
    ]


if __name__ == "__main__":
    main()
