"""The order of planned and of measured times of a training step, on meshes of CPUs.

    .venv/bin/python benchmarks/planned_steps.py

Each step is planned with `--chip cpu`, whose products and operations are measured first, and
runs on TensorFlow's CPU devices: in one thread, which all devices share, and in the session of a
run, which uses all threads. All of them run in turn, ROUNDS times, so
that what else the machine does meets each alike; the shortest counts. Steps differ in model, mesh,
batch and width. Writes a dated markdown file to `benchmarks/results/` with the ratio of each, and
in how many pairs both orders agree.
"""

import contextlib
import datetime
import itertools
import multiprocessing
import os
import pathlib
import platform
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))

from primer.runtime import import_hook  # noqa: E402

import_hook.install()

import tensorflow.compat.v1 as tf  # noqa: E402

import t5_imports  # noqa: E402, F401
from benchmarks.planned_memory import LAYOUT, MODELS, SIZE, VOCABULARY  # noqa: E402
from primer.gin_config import config_files, isolation  # noqa: E402
from primer.planning import check  # noqa: E402
from primer.planning.device_program import measured_step, planner  # noqa: E402
from primer.planning.machines import cpu, step_time  # noqa: E402
from primer.runtime import session  # noqa: E402

ROUNDS = 20
# Pairs whose measured times differ by less are ties on a noisy machine.
TIE = 0.1
CASES = [
    *(("gpt2", mesh, []) for mesh in ("", "batch:2", "model:2", "batch:2,model:2", "batch:8")),
    *(("llama", mesh, []) for mesh in ("", "batch:4,model:2")),
    *(("primer", mesh, []) for mesh in ("", "batch:2,model:2")),
    ("gpt2", "", ["d_model = 256", "d_ff = 1024", "d_kv = 64"]),
    ("gpt2", "batch:2,model:2", ["d_model = 256", "d_ff = 1024", "d_kv = 64"]),
    ("gpt2", "", ['utils.run.batch_size = ("sequences_per_batch", 32)']),
    ("gpt2", "batch:4", ['utils.run.batch_size = ("sequences_per_batch", 32)']),
    ("gpt2", "", ["LayerStack.recompute_grads = True"]),
]
# Name of a table -> the configuration of its sessions.
CONFIGS = {
    "In one thread": measured_step.one_thread,
    "As a run, with all threads": session.default_config,
}


def planned_seconds(chip) -> list[float]:
    """Returns the planned time of each case's step."""
    found = []
    for model, mesh, more in CASES:
        with case(model, more):
            program = planner.device_program(VOCABULARY, mesh, LAYOUT, for_tpu=False)
        found.append(step_time.estimate(program, chip, step_time.MEASURED).seconds)
    return found


def measured_seconds(config) -> list[float]:
    """Returns the shortest time of each case's step."""
    with contextlib.ExitStack() as stack:
        steps = []
        for model, mesh, more in CASES:
            with case(model, more):
                timer = measured_step.timer(VOCABULARY, mesh, LAYOUT, config)
                steps.append(stack.enter_context(timer))
        rounds = [[step() for step in steps] for _ in range(ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


@contextlib.contextmanager
def case(model: str, more: list[str]) -> Iterator[None]:
    """Sets a model in the block."""
    with isolation.isolated():
        check.parse(config_files.composition_files(*MODELS[model], "tiny"), [*SIZE, *more])
        yield


def agreement(rows: list[tuple[float, float]]) -> tuple[int, int]:
    """Returns the pairs, without ties of the measured times, that both order alike, and all."""
    pairs = [
        (a, b)
        for a, b in itertools.combinations(rows, 2)
        if abs(a[1] - b[1]) > TIE * max(a[1], b[1])
    ]
    return sum((a[0] < b[0]) == (a[1] < b[1]) for a, b in pairs), len(pairs)


def table(name: str) -> str:
    """Measures the machine and the steps; returns the lines of a table with its heading.

    Args:
        name: a key of CONFIGS.
    """
    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    config = CONFIGS[name]()
    chip = cpu.this_processor(config=config)
    rows = list(zip(planned_seconds(chip), measured_seconds(config), strict=True))
    lines = [
        f"| {model} | {mesh or 'one device'} | {', '.join(more) or '-'} | {planned * 1e3:.0f} "
        f"| {measured * 1e3:.0f} | {measured / planned:.1f} |"
        for (model, mesh, more), (planned, measured) in zip(CASES, rows, strict=True)
    ]
    agree, of = agreement(rows)
    return (
        f"## {name}\n\n"
        f"Of {of} pairs whose measured times differ by more than {TIE:.0%}, both order {agree} "
        f"alike. The processor: {chip.peak_of('float32') / 1e9:.0f} GFLOP/s of products, "
        f"{chip.memory_bandwidth / 1e9:.0f} GB/s of element-wise operations, "
        f"{chip.operation_seconds * 1e6:.2f} us an operation, "
        f"{chip.transfer_seconds * 1e6:.2f} us a transfer.\n\n"
        "| model | mesh | settings | planned, ms | measured, ms | ratio |\n"
        f"{'|---' * 6}|\n" + "\n".join(lines) + "\n"
    )


def main() -> None:
    """Measures and writes the page of results."""
    date = datetime.date.today().isoformat()
    # TensorFlow creates threads once in a process.
    processes = multiprocessing.get_context("spawn")
    with processes.Pool(1, maxtasksperchild=1) as pool:
        tables = [pool.apply(table, [name]) for name in CONFIGS]
    text = (
        f"# Planned and measured times of a step, {date}\n\n"
        "A training step of 16 rows of 128 tokens: 3 layers, d_model 128, d_ff 512, "
        f"{VOCABULARY} words, Adafactor, float32, layout `{LAYOUT}`, on {platform.machine()} with "
        f"{os.cpu_count()} cores. Planned with `--chip cpu`; measured: the shortest of {ROUNDS} "
        "rounds.\n\n" + "\n".join(tables)
    )
    (RESULTS / f"planned_steps_{date}.md").write_text(text)


if __name__ == "__main__":
    main()
