"""The order of planned and of measured times of a training step, on meshes of CPUs.

    .venv/bin/python benchmarks/planned_steps.py

Each step is planned with `--chip cpu`, whose products and copies are measured first, and then runs
on TensorFlow's CPU devices in one thread, which all devices of a mesh share; the shortest of three
steps counts. Steps differ in model, mesh, batch and width. Writes a dated markdown file to
`benchmarks/results/` with the ratio of each, and in how many pairs both orders agree.
"""

import datetime
import itertools
import pathlib
import platform
import sys

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

STEPS = 3
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


def times(model: str, mesh: str, more: list[str], chip) -> tuple[float, float]:
    """Returns the planned and the measured seconds of a step."""
    with isolation.isolated():
        check.parse(config_files.composition_files(*MODELS[model], "tiny"), [*SIZE, *more])
        program = planner.device_program(VOCABULARY, mesh, LAYOUT, for_tpu=False)
        measured = measured_step.measure(VOCABULARY, mesh, LAYOUT, steps=STEPS)
    return step_time.estimate(program, chip, step_time.MEASURED).seconds, measured.seconds


def agreement(rows: list[tuple[float, float]]) -> tuple[int, int]:
    """Returns the pairs, without ties of the measured times, that both order alike, and all."""
    pairs = [
        (a, b)
        for a, b in itertools.combinations(rows, 2)
        if abs(a[1] - b[1]) > TIE * max(a[1], b[1])
    ]
    return sum((a[0] < b[0]) == (a[1] < b[1]) for a, b in pairs), len(pairs)


def main() -> None:
    """Measures and writes the page of results."""
    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    chip = cpu.this_processor()
    date = datetime.date.today().isoformat()
    rows, lines = [], []
    for model, mesh, more in CASES:
        planned, measured = times(model, mesh, more, chip)
        rows.append((planned, measured))
        name = f"| {model} | {mesh or 'one device'} | {', '.join(more) or '-'} |"
        lines.append(
            f"{name} {planned * 1e3:.0f} | {measured * 1e3:.0f} | {measured / planned:.1f} |"
        )
        print(lines[-1], flush=True)
    agree, of = agreement(rows)
    text = (
        f"# Planned and measured times of a step, {date}\n\n"
        "A training step of 16 rows of 128 tokens: 3 layers, d_model 128, d_ff 512, "
        f"{VOCABULARY} words, Adafactor, float32, layout `{LAYOUT}`, on {platform.machine()}. "
        "Planned with `--chip cpu`; measured: the shortest of "
        f"{STEPS} steps of all devices in one thread.\n\n"
        f"Of {of} pairs whose measured times differ by more than {TIE:.0%}, both order {agree} "
        "alike.\n\n| model | mesh | settings | planned, ms | measured, ms | ratio |\n"
        f"{'|---' * 6}|\n" + "\n".join(lines) + "\n"
    )
    (RESULTS / f"planned_steps_{date}.md").write_text(text)


if __name__ == "__main__":
    main()
