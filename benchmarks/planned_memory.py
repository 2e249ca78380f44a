"""Planned memory of a training step against what TensorFlow allocates, on meshes of CPUs.

    .venv/bin/python benchmarks/planned_memory.py

For each model and mesh the program of a device is planned without a device, and the same step then
runs on TensorFlow's CPU devices with a full trace (`primer.planning.device_program.measured_step`
says what is measured). Bytes are those of the first device. Activations are what exists when the
first product of the backward pass begins. Writes a dated markdown file to `benchmarks/results/`
after each row.
"""

import argparse
import datetime
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))

from primer.runtime import import_hook  # noqa: E402

import_hook.install()

import tensorflow.compat.v1 as tf  # noqa: E402

import t5_imports  # noqa: E402, F401
from primer.gin_config import config_files, isolation  # noqa: E402
from primer.planning import check  # noqa: E402
from primer.planning.device_program import measured_step, planner  # noqa: E402
from primer.planning.device_program.program import DeviceProgram  # noqa: E402

VOCABULARY = 1000
LAYOUT = "batch:batch,d_ff:model,heads:model,vocab:model"
MESHES = ("", "batch:2", "model:2", "batch:2,model:2", "batch:8", "batch:4,model:2")
SIZE = [
    *("num_layers = 3", "d_model = 128", "d_ff = 512", "num_heads = 4", "d_kv = 32"),
    'utils.run.batch_size = ("sequences_per_batch", 16)',
    'utils.run.sequence_length = {"inputs": 128, "targets": 128}',
    'precision.activation_dtype = "float32"',
]
MODELS = {
    "transformer": ("transformer", "relu"),
    "gpt2": ("gpt2", "gelu"),
    "primer": ("primer", "squared_relu"),
    "llama": ("llama", "swiglu"),
}
RECOMPUTE = "LayerStack.recompute_grads = True"
MICROBATCHES = "serialize_num_microbatches.tokens_per_microbatch_per_replica = 256"
# Further settings of "gpt2", by name.
VARIANTS = {
    "bfloat16": ['precision.activation_dtype = "bfloat16"'],
    "recomputed": [RECOMPUTE],
    "microbatches of 256 tokens": [MICROBATCHES],
    "AdamW, clipped": ["optimizer = @AdamWOptimizer", "usual_clip_norm = 1.0"],
}
HEAD = (
    "| model | mesh | parameters and slots, planned | allocated | activations, planned | measured "
    "| ratio | peak, planned | measured | ratio |\n" + "|---" * 10 + "|"
)


def row(name: str, model: str, mesh: str, more: list[str]) -> str:
    """Returns a line of the table."""
    with isolation.isolated():
        check.parse(config_files.composition_files(*MODELS[model], "tiny"), [*SIZE, *more])
        program = planner.device_program(VOCABULARY, mesh, LAYOUT, for_tpu=False)
        measured = measured_step.measure(VOCABULARY, mesh, LAYOUT)
    return line(name, mesh, program, measured)


def line(name: str, mesh: str, program: DeviceProgram, measured: measured_step.MeasuredStep) -> str:
    """Formats a line of the table."""
    memory = program.memory
    held = sum(memory.variables.values())
    cells = [name, mesh or "one device", f"{held:,}", f"{sum(measured.variables.values()):,}"]
    for planned, allocated in (
        (memory.before_backward, measured.before_backward),
        (memory.peak - held, measured.peak),
    ):
        cells += [f"{planned:,}", f"{allocated:,}", f"{planned / allocated:.3f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measures and writes the page of results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--meshes", nargs="+", default=list(MESHES))
    arguments = parser.parse_args()
    tf.disable_v2_behavior()
    tf.logging.set_verbosity(tf.logging.ERROR)
    cases = [(model, model, mesh, []) for model in arguments.models for mesh in arguments.meshes]
    cases += [
        (f"gpt2, {name}", "gpt2", mesh, more)
        for name, more in VARIANTS.items()
        for mesh in ("", "batch:2,model:2")
    ]
    date = datetime.date.today().isoformat()
    text = (
        f"# Planned and allocated memory, {date}\n\n"
        f"Bytes of one device in a training step of 16 rows of 128 tokens: 3 layers, d_model 128, "
        f"d_ff 512, 4 heads, {VOCABULARY} words, Adafactor, float32, layout `{LAYOUT}`. "
        "Activations: what exists when the first product of the backward pass begins; peak: the "
        "most in a step; both without parameters and slots.\n\n"
        f"{HEAD}\n"
    )
    for case in cases:
        text += row(*case) + "\n"
        print(text.splitlines()[-1], flush=True)
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"planned_memory_{date}.md").write_text(text)


if __name__ == "__main__":
    main()
