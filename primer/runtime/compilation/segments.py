"""Divides the operations that fetches need into segments that XLA compiles and ones that it cannot.

A segment has the operations of one device between two exchanges with others. On one device all that
XLA can compile is one segment: the forward pass, the gradients, the loop over microbatches and the
update. Input pipelines, variables' handles and what follows the update, such as the increment of
the global step, stay outside.

Each operation has a level: the number of times that the longest way to it changes between devices,
or between compiled and other operations. Operations of one level and device are one segment, and
the segments of a graph have no cycle.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import tensorflow.compat.v1 as tf

from primer.runtime.compilation import kernels

_OUTSIDE = None
# Operations that give a step what it reads; what they need runs before the step.
_SOURCES = ("IteratorGetNext", "Placeholder", "PlaceholderWithDefault", "VarHandleOp")


class CannotCompile(Exception):
    """XLA cannot compile these operations; the message says why."""


@dataclasses.dataclass
class Segment:
    """Operations that run together.

    Attributes:
        device: the device that computes them compiled; None: they run as they are.
        operations: the operations, those before that the others need.
    """

    device: str | None
    operations: list[tf.Operation]


def divide(
    leaves: Sequence[tf.Operation], devices: Sequence[str], on_gpu: bool
) -> tuple[list[Segment], set[tf.Operation]]:
    """Divides what some operations need.

    Args:
        leaves: the operations.
        devices: those of the mesh, as operations have them; one "" is any device.
        on_gpu: whether they are GPUs.

    Returns:
        (segments in an order in which they can run, constants). The constants, and what is computed
        from constants alone, belong to no segment: each has its own of those that it reads.

    Raises:
        CannotCompile: for the reason that the message names.
    """
    needed = _in_graph_order(_needed(leaves))
    places = {op: _place(op, devices, on_gpu) for op in needed}
    groups = _groups(needed)
    _check_loops(groups, places, on_gpu)
    order = _sorted(needed, groups)
    constants = _constants(order, places, groups)
    levels = _levels(order, places, groups, constants)
    segments: dict[tuple, Segment] = {}
    for op in order:
        if op not in constants:
            key = (levels[groups[op]], places[op] is not _OUTSIDE, places[op] or "")
            segments.setdefault(key, Segment(places[op], [])).operations.append(op)
    if len(devices) == 1:
        _check_is_one(segments)
    return [segments[key] for key in sorted(segments)], constants


def _needed(leaves):
    """Returns the operations that the leaves need, without what sources need."""
    found, waiting = set(leaves), list(leaves)
    while waiting:
        op = waiting.pop()
        if op.type not in _SOURCES:
            new = set(_before(op)) - found
            found |= new
            waiting.extend(new)
    return found


def _in_graph_order(operations):
    """Returns operations in the order in which the graph got them."""
    numbers = {op: n for n, op in enumerate(next(iter(operations)).graph.get_operations())}
    return sorted(operations, key=numbers.__getitem__)


def _before(op):
    return [*(tensor.op for tensor in op.inputs), *op.control_inputs]


def _place(op, devices, on_gpu):
    """Returns the device of the mesh that computes an operation compiled, or _OUTSIDE."""
    if op.type in _SOURCES or not kernels.compiles(op, on_gpu) or _touches_step(op):
        return _OUTSIDE
    if len(devices) == 1:
        return devices[0]
    return op.device if op.device in devices else _OUTSIDE


def _touches_step(op):
    """Whether an operation reads or writes the global step, which the host keeps."""
    step = tf.train.get_global_step(op.graph)
    return step is not None and any(tensor.op is step.op for tensor in op.inputs)


def _groups(needed):
    """Returns the outermost loop or condition that has each operation, or the operation."""
    return {op: _outermost(op._get_control_flow_context()) or op for op in needed}


def _outermost(context):
    while context is not None and context.outer_context is not None:
        context = context.outer_context
    return context


def _check_loops(groups, places, on_gpu):
    """Checks that XLA can compile each loop: it is of one device."""
    places_of: dict = {}
    for op, group in groups.items():
        if group is not op:
            if not kernels.compiles(op, on_gpu):
                raise CannotCompile(f"XLA has no {op.type} ({op.name}), which is in a loop")
            places_of.setdefault(group, set()).add(places[op])
    for group, found in places_of.items():
        if len(found) > 1:
            raise CannotCompile(
                f"the loop {group.name}, as over microbatches, is on several devices, and XLA "
                "compiles the operations of one"
            )


def _sorted(needed, groups):
    """Returns the operations, each after what it needs; those of a loop stand together."""
    members: dict = {}
    for op in needed:
        members.setdefault(groups[op], []).append(op)
    waits = {group: set() for group in members}
    readers: dict = {group: [] for group in members}
    for op in needed:
        for before in _before(op) if op.type not in _SOURCES else ():
            group = groups[before]
            if group is not groups[op] and group not in waits[groups[op]]:
                waits[groups[op]].add(group)
                readers[group].append(groups[op])
    counts = {group: len(waiting) for group, waiting in waits.items()}
    ready = [group for group in members if not counts[group]]
    order = []
    for group in ready:  # Grows while it is read.
        order.extend(members[group])
        for reader in readers[group]:
            counts[reader] -= 1
            if not counts[reader]:
                ready.append(reader)
    return order


def _constants(order, places, groups):
    """Returns the operations whose values follow from constants alone.

    One that waits for another is none: what reads it waits too.
    """
    found: set = set()
    for op in order:
        is_pure = op.outputs and not op.op_def.is_stateful and not op.control_inputs
        if is_pure and places[op] is not _OUTSIDE and groups[op] is op:
            if all(tensor.op in found for tensor in op.inputs):
                found.add(op)
    return found


def _levels(order, places, groups, constants):
    """Returns the level of each loop and of each operation outside loops."""
    levels: dict = {}
    for op in order:
        level = levels.get(groups[op], 0)
        for before in _before(op) if op.type not in _SOURCES else ():
            if before not in constants and groups[before] is not groups[op]:
                level = max(level, levels[groups[before]] + (places[before] != places[op]))
        levels[groups[op]] = level
    return levels


def _check_is_one(segments: dict[tuple, Segment]) -> None:
    """Checks that nothing that XLA cannot compile stands between two compiled segments.

    What groups operations, or casts a value for the host, may follow them.
    """
    compiled = [key for key in sorted(segments) if segments[key].device is not None]
    for key in compiled[1:]:
        if any(not _is_light(op) for op in segments[key].operations):
            between = [k for k in segments if compiled[0] < k < key and segments[k].device is None]
            op = segments[between[-1]].operations[0]
            raise CannotCompile(f"XLA has no {op.type} ({op.name}), which is inside the step")
        segments[key].device = _OUTSIDE


def _is_light(op):
    return op.type in ("NoOp", "Identity", "Cast", "Reshape", "Squeeze", "Slice")


def count(segments: Iterable[Segment]) -> int:
    """Returns the number of segments that are compiled."""
    return sum(segment.device is not None for segment in segments)
