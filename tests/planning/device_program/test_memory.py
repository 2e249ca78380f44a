"""Planned memory against what TensorFlow allocates on meshes of CPUs, and against formulas.

`measured_step` says how it is measured.
"""

import pytest

from primer.planning import run_graph
from primer.planning.device_program import measured_step
from tests import slow
from tests.planning.device_program import models

MESHES = ("", "batch:2", "model:2", "batch:2,model:2", "batch:4,model:2")
ROWS = 'utils.run.batch_size = ("sequences_per_batch", 8)'
LENGTH = 'utils.run.sequence_length = {"inputs": 64, "targets": 64}'
RECOMPUTE = "LayerStack.recompute_grads = True"
MICROBATCHES = "serialize_num_microbatches.tokens_per_microbatch_per_replica = 64"
BFLOAT16 = 'precision.activation_dtype = "bfloat16"'
ADAMW = "optimizer = @AdamWOptimizer"
CLIPPED = "usual_clip_norm = 1.0"
CASES = [("gpt2", mesh) for mesh in MESHES]
CASES += [(name, mesh) for name in ("primer", "llama") for mesh in ("", "model:2")]
QUICK = [("gpt2", "batch:2,model:2"), ("primer", "model:2")]


def planned_and_measured(architecture, mesh, *more):
    bindings = (ROWS, LENGTH, "num_layers = 3", *more)
    models.parse(architecture, *bindings)
    program = models.program(mesh, for_tpu=False)
    models.parse(architecture, *bindings)
    return program, measured_step.measure(models.VOCABULARY, mesh, models.LAYOUT)


@pytest.mark.parametrize("architecture, mesh", slow.all_but(QUICK.__contains__, CASES))
def test_planned_memory_is_what_tensorflow_allocates(architecture, mesh):
    compare(*planned_and_measured(architecture, mesh))


def compare(program, measured, tolerance=0.1):
    """Variables exactly; what the backward pass finds, and the peak, within a share."""
    memory = program.memory
    held = sum(memory.variables.values())
    assert held == sum(measured.variables.values())
    assert memory.before_backward == pytest.approx(measured.before_backward, rel=tolerance)
    assert memory.peak - held == pytest.approx(measured.peak, rel=tolerance)


SETTINGS = [(RECOMPUTE,), (MICROBATCHES,), (MICROBATCHES, RECOMPUTE), (BFLOAT16,), (ADAMW, CLIPPED)]
# On one device the plan is 11% low where layers are recomputed, and 13% high where a microbatch is
# one row of 64 tokens.
FAR = [((RECOMPUTE,), ""), ((MICROBATCHES,), ""), ((MICROBATCHES, RECOMPUTE), "")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "more, mesh",
    [(more, mesh) for more in SETTINGS for mesh in ("", "batch:2,model:2")],
)
def test_planned_memory_is_tensorflows_with_other_settings(more, mesh):
    tolerance = 0.15 if (more, mesh) in FAR else 0.1
    compare(*planned_and_measured("gpt2", mesh, *more), tolerance)


def test_parameters_and_slots_are_those_of_the_model():
    models.parse("gpt2", "num_layers = 3", ADAMW)
    _, graph = run_graph.build_forward(models.VOCABULARY)
    number = sum(variable.shape.size for variable in graph.trainable_variables)
    program = models.program("model:4", "d_ff:model,heads:model,vocab:model", for_tpu=False)
    assert program.parameters == number
    split = program.device_parameters
    assert number / 4 < split < number  # Norms and biases of d_model are whole on each device.
    variables = program.memory.variables
    assert variables["parameters"] == 4 * split
    # Two moments, and AdamW's two scalars.
    assert variables["slots"] == 2 * variables["parameters"] + 8
    assert sum(program.memory.gradients.values()) == variables["parameters"]


def test_recomputation_keeps_the_input_of_each_layer_only():
    models.parse("gpt2", "num_layers = 3", LENGTH)
    plain = models.program("batch:2")
    models.parse("gpt2", "num_layers = 3", LENGTH, RECOMPUTE)
    again = models.program("batch:2")
    assert again.memory.kept < plain.memory.kept / 2
    assert again.memory.peak < plain.memory.peak
    residual = 4 * 64 * 32 * 4  # Rows, length, d_model and bytes.
    for layer in (name for name in again.parts if name.startswith("block_001")):
        kept = again.memory.activations[layer]
        assert residual <= kept <= 1.1 * residual


def test_the_kinds_of_memory_add_up_to_the_peak_of_the_timeline():
    models.parse("primer", MICROBATCHES)
    memory = models.program("batch:2,model:2").memory
    assert sum(memory.at_peak.values()) == memory.peak
    assert max(moment.bytes for moment in memory.timeline) == memory.peak
    lowest = sum(memory.variables.values())
    assert all(moment.bytes >= lowest for moment in memory.timeline)
