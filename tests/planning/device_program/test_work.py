"""FLOPs of one device: against TensorFlow's own count, and against the cost of the model."""

import pytest
import tensorflow.compat.v1 as tf
from tensorflow.python.framework import ops
from tensorflow.python.ops import special_math_ops
from tensorflow.python.profiler.internal import flops_registry  # noqa: F401

from primer.planning import run_graph
from primer.planning.device_program import lowered_run, operations, planner
from primer.planning.device_program.flops import PRODUCTS
from tests import gin_models, slow
from tests.planning.device_program import models

RECOMPUTE = "LayerStack.recompute_grads = True"
MICROBATCHES = "serialize_num_microbatches.tokens_per_microbatch_per_replica = 64"


def tensorflows_flops(run):
    """Returns the FLOPs of a graph's matrix products by TensorFlow's profiler.

    The profiler does not know `Einsum`: each is built once more as TensorFlow 1 built it, of
    transpositions and `MatMul`.
    """
    total = 0
    for node in operations.Step(run).nodes:
        if node.kind in PRODUCTS:
            with tf.Graph().as_default() as graph:
                tensors = [tf.placeholder(x.dtype, x.shape) for x in node.operation.inputs]
                equation = node.operation.get_attr("equation").decode()
                special_math_ops._einsum_v1(equation, *tensors)
                counts = [
                    ops.get_stats_for_node_def(graph, o.node_def, "flops").value or 0
                    for o in graph.get_operations()
                    if "MatMul" in o.type
                ]
            total += sum(counts) * node.times
    return total


@pytest.mark.parametrize(
    "architecture, overlay, mesh, layout, more",
    [
        ("gpt2", None, "batch:2,model:2", models.LAYOUT, (MICROBATCHES, RECOMPUTE)),
        pytest.param(
            *("transformer", "switch", "batch:2,model:2", models.EXPERTS),
            ("tpu_estimator_model_fn.outer_batch_size = 2",),
            marks=pytest.mark.slow,
        ),
        pytest.param("llama", None, "", "", (), marks=pytest.mark.slow),
    ],
)
def test_products_have_tensorflows_flops(architecture, overlay, mesh, layout, more):
    models.parse(architecture, *more, overlay=overlay)
    run = models.lower(mesh, layout)
    expected = tensorflows_flops(run)
    assert planner.of_run(run).flops == pytest.approx(expected, rel=0.01)


# Transformer-XL projects its positions once for all rows of a batch; the cost is that of one row.
BASES = [name for name in gin_models.BASES if name != "transformer_xl"]


@pytest.mark.parametrize("architecture", slow.all_but(["primer"], BASES))
def test_a_step_split_evenly_has_the_flops_of_the_model(architecture):
    """The share of one device of three forward passes, where no device repeats another's work."""
    models.parse(architecture, *gin_models.fewest_block_bindings(architecture))
    cost = run_graph.cost_of(*run_graph.build_forward(128))  # Without padding.
    program = planner.of_run(lowered_run.lower(128, "train", "batch:4", "batch:batch"))
    share = program.tokens / program.devices
    forward, step = program.work_of(phase="forward"), program.work_of()
    assert forward.flops - forward.selection_flops == pytest.approx(cost.forward * share, rel=0.01)
    assert step.flops - step.selection_flops == pytest.approx(cost.training * share, rel=0.01)
    # What all devices repeat are lookups of biases, which have no batch.
    assert 0 <= step.flops - step.unsplit_flops <= step.selection_flops


def test_what_every_device_repeats_is_visible():
    """Without a rule for heads and d_ff, both devices of the axis do the same."""
    models.parse("llama")
    half = models.program("model:2", "vocab:model,heads:model,d_ff:model")
    whole = models.program("model:2", "vocab:model")
    assert half.work_of().unsplit_flops == pytest.approx(half.flops)
    assert whole.work_of().unsplit_flops == pytest.approx(half.flops)
    feed_forward, attention = "block_000/layer_001", "block_000/layer_000"
    assert whole.work_of(feed_forward).flops == 2 * half.work_of(feed_forward).flops
    # Mesh-TF divides the rows of attention over an axis that nothing else divides.
    share = whole.work_of(attention).flops / half.work_of(attention).flops
    assert 1 < share < 2


def test_useful_work_is_the_same_on_every_mesh():
    """Lookups of biases, which devices repeat, are no part of it."""
    models.parse("primer")
    useful = [
        models.program(mesh).work_of().useful_flops * devices
        for mesh, devices in (("", 1), ("batch:2", 2), ("batch:2,model:2", 4))
    ]
    assert useful[1:] == pytest.approx(useful[:1] * 2)


def test_microbatches_and_recomputation_change_no_other_work():
    models.parse("gpt2")
    plain = models.program("batch:2,model:2")
    models.parse("gpt2", MICROBATCHES, RECOMPUTE)
    parts = models.program("batch:2,model:2")
    assert parts.microbatches == 2 and parts.recomputes and not plain.recomputes
    again = parts.work_of(phase="recompute")
    layers = [name for name in parts.parts if name.startswith("block_")]
    forward = sum(plain.work_of(name, "forward").flops for name in layers)
    assert parts.flops - again.flops == plain.flops
    # The last product of a layer is not needed again.
    assert forward / 2 < again.flops < forward
