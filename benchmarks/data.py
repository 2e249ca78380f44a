"""How fast data come in, and how fast and in how little memory they are prepared.

    make env && .venv/bin/python benchmarks/data.py [--megabytes 1000]

Four questions, on the addresses of the package `sotu` (10.8 MB, 2.2 million tokens): tokens per
second that training draws from prepared data and from raw text, through `mesh_train_dataset_fn`
with the objective `lm`; what `primer data prepare` reaches against tokenizing alone; and its
memory for inputs of two sizes, made by repetition. Rates are per second of processor time, all
threads together, with the process bound to one processor: other work on the machine hardly changes
them. Writes a dated markdown file to `benchmarks/results/`.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

from primer.runtime import hook  # noqa: E402

hook.install()

RESULTS = pathlib.Path(__file__).resolve().parent / "results"
LENGTH = 512
ROWS = 32
SECONDS = 20.0
WARM_UP = 100  # Batches: the buffers are full, and the first epoch is behind.


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1000, help="of the larger input")
    parser.add_argument("--prepare", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if options.prepare:
        prepare_and_report(*options.prepare)
        return
    with tempfile.TemporaryDirectory() as folder:
        results = {
            "training": training_input(folder),
            "preparing": preparing(folder),
            "memory": memory(folder, options.megabytes),
        }
    write(results)


def training_input(folder):
    """Tokens per second of training rows: {"prepared", "raw"}."""
    import seqio

    from primer.data.prepared import plan, prepare

    configure()
    prepare.prepare(plan.make("sotu", os.path.join(folder, "cache")), write_shards)
    seqio.add_global_cache_dirs([os.path.join(folder, "cache")])
    return {"prepared": rate_of_rows(True), "raw": rate_of_rows(False)}


def configure():
    import gin
    from t5.models import mesh_transformer  # noqa: F401  Registers what the file names.

    from primer.commands import data_prepare
    from primer.data import tasks  # noqa: F401

    gin.parse_config_file(data_prepare.objective_file())
    gin.bind_parameter("reduce_concat_tokens.batch_size", 16)  # As datasets/sotu.gin has it.


def write_shards(begun):
    from primer.data.prepared import pool

    pool.run(begun.plan, begun.remaining, 1, None, lambda size: None, lambda index: None)


def rate_of_rows(use_cached):
    """Draws batches for some seconds, after some that fill the buffers."""
    from t5.models import mesh_transformer

    from primer.data import reading

    def batches():
        rows = mesh_transformer.mesh_train_dataset_fn(
            "sotu", {"inputs": 1, "targets": LENGTH}, seed=1, use_cached=use_cached
        )
        return rows.batch(ROWS)

    drawn = reading.elements(batches)
    for _ in range(WARM_UP):
        next(drawn)
    started, tokens = time.process_time(), 0
    while time.process_time() - started < SECONDS:
        tokens += int((next(drawn)["targets"] != 0).sum())
    return tokens / (time.process_time() - started)


def preparing(folder):
    """Tokens per second of `primer data prepare`, of its tokenizer alone, and of Python's."""
    import functools

    import sentencepiece
    import seqio

    from primer.data import documents, reading, vocabularies
    from primer.data.prepared import plan, prepare, shard

    task = seqio.TaskRegistry.get("sotu")
    texts = [batch for _, batch in shard.batches(shard.read(task, 0, 1, documents.Notes()))]
    vocabulary = task.output_features["targets"].vocabulary
    tokenizer = reading.TextFunction(functools.partial(shard.tokens, vocabulary))
    alone, tokens = timed(lambda: sum(len(tokenizer(batch)[0]) for batch in texts))
    python = sentencepiece.SentencePieceProcessor(model_file=vocabularies.SOTU_MODEL)
    other, _ = timed(lambda: sum(len(python.encode(text.decode())) for b in texts for text in b))

    def whole():
        made = plan.make("sotu", tempfile.mkdtemp(dir=folder), shards=1)
        return prepare.prepare(made, write_shards)

    seconds, _ = timed(whole)
    return {
        "tokenizer": tokens / alone,
        "python": tokens / other,
        "prepare": tokens / seconds,
        "share": alone / seconds,
    }


def timed(function):
    """(seconds of processor time of the best of three calls, the result)."""
    best = None
    for _ in range(3):
        started = time.process_time()
        result = function()
        seconds = time.process_time() - started
        best = seconds if best is None else min(best, seconds)
    return best, result


def memory(folder, megabytes):
    """What preparing inputs of two sizes takes: [{"megabytes", "peak", "seconds", "tokens"}]."""
    return [measure(folder, size) for size in (max(1, megabytes // 10), megabytes)]


def measure(folder, megabytes):
    from primer.data import sotu

    path = os.path.join(folder, f"{megabytes}.txt")
    content = b"\n".join(pathlib.Path(name).read_bytes() for name in sotu.paths("train")) + b"\n"
    with open(path, "wb") as file:
        while file.tell() < megabytes * 1_000_000:
            file.write(content)
    output = os.path.join(folder, f"{megabytes}.out")
    command = [sys.executable, __file__, "--prepare", path, output]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    os.remove(path)
    return {"megabytes": megabytes, **json.loads(done.stdout.splitlines()[-1])}


def prepare_and_report(path, output):
    """In a process of its own: prepares one file, a line a document, and prints what it took."""
    import gin

    from primer.data import tasks  # noqa: F401
    from primer.data.prepared import plan, prepare

    gin.bind_parameter("text_files.glob", path)
    gin.bind_parameter("text_files.unit", "line")
    started = time.process_time()
    manifest, _ = prepare.prepare(plan.make("text", output), write_shards)
    report = {
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "seconds": time.process_time() - started,
        "tokens": sum(counts["tokens"] for counts in manifest["splits"].values()),
    }
    print(json.dumps(report))


def write(results):
    today = datetime.date.today()
    path = RESULTS / f"data_{today:%Y-%m-%d}.md"
    path.write_text(markdown(results, today))
    print(path.read_text())


def markdown(results, today):
    import tensorflow as tf

    training, preparing_, sizes = results["training"], results["preparing"], results["memory"]
    lines = [
        f"# Data in, {today:%Y-%m-%d}",
        "",
        f"`benchmarks/data.py`, Python {platform.python_version()}, TensorFlow {tf.__version__}, "
        f"{platform.machine()}, one processor; rates per second of processor time.",
        "",
        "| training rows of 512 tokens, objective `lm` | tokens/s | asked for |",
        "|---|---|---|",
        f"| from prepared data | {training['prepared']:,.0f} | 1,000,000 |",
        f"| from raw text, SentencePiece | {training['raw']:,.0f} | 200,000 |",
        "",
        "| preparing, 8,192 pieces, whole documents | tokens/s |",
        "|---|---|",
        f"| `primer data prepare` | {preparing_['prepare']:,.0f} |",
        f"| its tokenizer alone (TensorFlow Text's SentencePiece) | {preparing_['tokenizer']:,.0f} |",
        f"| the Python package sentencepiece, for comparison | {preparing_['python']:,.0f} |",
        "",
        f"Preparing reaches {preparing_['share']:.2f} of its tokenizer alone (asked for: 0.90). The "
        "Python package is faster and chooses differently between pieces of nearly equal score, so "
        "that its tokens would not be those of raw text (see `primer/data/streams.py`).",
        "",
        "| memory of preparing, one line a document | tokens | processor seconds | peak MB |",
        "|---|---|---|---|",
    ]
    for size in sizes:
        lines.append(
            f"| {size['megabytes']:,} MB of text | {size['tokens']:,} | {size['seconds']:,.0f} | "
            f"{size['peak'] / 1e6:,.0f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
