"""The counting mesh lowers what Mesh-TF's SimdMeshImpl lowers: the same collectives and slices.

The stock class lowers here, too, with a stand-in for the TPU's device assignment and with resource
variables, as TPUEstimator makes them.
"""

from collections import Counter

import mesh_tensorflow as mtf
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from mesh_tensorflow.simd_mesh_impl import SimdMeshImpl

from primer.planning.device_program import planner
from primer.planning.device_program.counting_mesh import KINDS
from tests import slow
from tests.planning.device_program import models
from tests.planning.device_program.models import EXPERTS, LAYOUT, POSITIONS

RECOMPUTE = "LayerStack.recompute_grads = True"
MICROBATCHES = "serialize_num_microbatches.tokens_per_microbatch_per_replica = 64"
ENSEMBLE = "Unitransformer.ensemble = 2"
# Architecture, overlay, mesh, layout, further settings.
CASES = {
    "primer": ("primer", None, "batch:2,model:2", LAYOUT, ()),
    "microbatches": ("gpt2", None, "batch:2,model:4", LAYOUT, (MICROBATCHES, RECOMPUTE)),
    "experts": (
        "transformer",
        "switch",
        "batch:2,model:2",
        EXPERTS,
        ("tpu_estimator_model_fn.outer_batch_size = 2",),
    ),
    "length": ("primer", None, "length:2", POSITIONS, ()),
    "one": ("gpt2", None, "", "", ()),
    "bfloat16": (
        "gpt2",
        None,
        "batch:16",
        LAYOUT.replace("vocab:model", ""),
        (
            'precision.activation_dtype = "bfloat16"',
            'utils.run.batch_size = ("sequences_per_batch", 16)',
        ),
    ),
    "dropout": ("gpt2", None, "batch:2,model:2", LAYOUT, ("dropout_rate = 0.1",)),
    "recompute": ("primer", None, "batch:2,model:2", LAYOUT, (RECOMPUTE,)),
    "llama": ("llama", None, "batch:2,model:2", LAYOUT, ()),
    "dropless": (
        "transformer",
        "fastmoe",
        "batch:2,model:2",
        EXPERTS,
        ("tpu_estimator_model_fn.outer_batch_size = 2",),
    ),
    "memory": ("transformer_xl", None, "batch:2,model:2", LAYOUT, ()),
    "windows": ("windowed_transformer", None, "batch:2,model:2", LAYOUT, ()),
    "evolved": ("evolved_transformer", None, "batch:2,model:2", LAYOUT, ()),
    "synthesizer": ("synthesizer", None, "batch:2,model:2", LAYOUT, ()),
}
QUICK = ("primer", "experts", "microbatches")


class DeviceAssignment:
    """Stands in for a TPU's."""

    def tpu_device(self, replica):
        del replica
        return "/device:CPU:0"


class StockMesh(SimdMeshImpl):
    """Mesh-TF's class."""

    def __init__(self, shape, layout, devices):
        super().__init__(shape, layout, devices, DeviceAssignment())
        tf.get_variable_scope().set_use_resource(True)


def lowered(name, mode="train"):
    """Returns the graphs of a case by the counting mesh and by the stock one."""
    architecture, overlay, mesh, layout, bindings = CASES[name]
    runs = []
    for options in ({}, {"mesh_class": StockMesh}):
        models.parse(architecture, *bindings, overlay=overlay)
        runs.append(models.lower(mesh, layout, mode, **options))
    return runs


def collectives(run):
    """Returns what each collective of a graph does: its type, operand and groups, in order."""
    found = []
    for operation in run.graph.get_operations():
        if operation.type in KINDS:
            operand, groups = operation.inputs[0], operation.inputs[1]
            settings = [
                operation.get_attr(name)
                for name in ("concat_dimension", "split_dimension")
                if operation.type == "AllToAll"
            ]
            groups = tf.get_static_value(groups).tolist()
            shape = tuple(operand.shape.as_list())
            found.append((operation.type, operand.dtype, shape, groups, settings))
    return found


def slices(run):
    """Returns the shape and the type of the slice of each Mesh-TF tensor, in order."""
    return [
        (
            tensor.name,
            laid_out.slice_shape,
            laid_out.to_laid_out_tensor().one_slice.dtype.base_dtype,
        )
        for tensor, laid_out in run.lowering.tensors.items()
        if isinstance(laid_out, SimdMeshImpl.LaidOutTensor)
    ]


@pytest.mark.parametrize("mode", slow.all_but(["train"], ["train", "eval"]))
@pytest.mark.parametrize("name", slow.all_but(QUICK, CASES))
def test_the_graph_has_the_stock_meshs_collectives_and_slices(name, mode):
    counting, stock = lowered(name, mode)
    assert collectives(counting) == collectives(stock)
    assert slices(counting) == slices(stock)
    # What the mesh has recorded is what the graph has.
    recorded = [(c.operation.name, c.axes) for c in counting.mesh.collectives]
    in_graph = [o.name for o in counting.graph.get_operations() if o.type in KINDS]
    assert sorted(name for name, _ in recorded) == sorted(in_graph)
    check_plan(counting, stock)


def check_plan(counting, stock):
    """The plan's collectives are those of the stock graph that the step needs."""
    needed = needed_names(stock)
    trips = 2  # Of the case with a loop: 128 tokens on each half of the batch, 64 at a time.
    expected = Counter()
    for operation in stock.graph.get_operations():
        if operation.type in KINDS and operation.name in needed:
            operand = operation.inputs[0]
            size = operand.shape.num_elements() * operand.dtype.size
            groups = np.array(tf.get_static_value(operation.inputs[1]))
            in_loop = operation._get_control_flow_context() is not None
            key = KINDS[operation.type], size, operand.dtype.name, frozenset(map(frozenset, groups))
            expected[key] += trips if in_loop else 1
    planned = Counter()
    program = planner.of_run(counting)
    for collective in program.collectives:
        groups = groups_of(program.mesh, collective)
        planned[collective.kind, collective.bytes, collective.dtype, groups] += collective.times
    permutes = {key: n for key, n in expected.items() if key[0] == "permute"}
    for key in permutes:  # Pairs instead of groups.
        del expected[key]
    sent = sum(n for key, n in planned.items() if key[0] == "permute")
    assert {k: n for k, n in planned.items() if k[0] != "permute"} == dict(expected)
    assert sent == sum(permutes.values())
    assert program.collectives or mtf.Shape(counting.mesh.shape.dims).size == 1


def groups_of(mesh, collective):
    """Returns the groups of devices along a collective's axes."""
    names = list(mesh)
    numbers = np.arange(np.prod(list(mesh.values()), dtype=int)).reshape(list(mesh.values()))
    order = [names.index(n) for n in names if n not in collective.axes]
    order += [names.index(n) for n in names if n in collective.axes]
    rows = numbers.transpose(order).reshape(-1, collective.group_size)
    return frozenset(frozenset(row) for row in rows.tolist())


def needed_names(run):
    """Returns the names of the operations that the results of a step depend on."""
    waiting, found = list(run.lowering.results()), set()
    while waiting:
        operation = waiting.pop()
        if operation.name not in found:
            found.add(operation.name)
            waiting += [x.op for x in operation.inputs] + list(operation.control_inputs)
    return found
