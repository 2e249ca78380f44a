"""The memory of one device through a step: what is kept, and the peak."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import mesh_tensorflow as mtf

from primer.planning.device_program import einsum_copies, program, schedule
from primer.planning.device_program.liveness import Buffer, Liveness
from primer.planning.device_program.lowered_run import LoweredRun
from primer.planning.device_program.operations import Node, Step
from primer.planning.device_program.program import DeviceVariable, Memory
from primer.planning.device_program.replay import Replay

_KINDS_OF_ROLES = {
    program.PARAMETER: program.PARAMETERS,
    program.SLOT: program.SLOTS,
    program.STATE: program.STATES,
}
_OF_VARIABLES = (mtf.Variable, mtf.UnstackOperation)


def of_step(run: LoweredRun, step: Step, variables: Iterable[DeviceVariable]) -> Memory:
    """Returns the memory of a step.

    Args:
        run: the lowered graph.
        step: its operations.
        variables: the slices of its variables.
    """
    in_order = schedule.as_built if run.for_tpu else schedule.as_ready
    liveness = Liveness(in_order(step.nodes), step.loops)
    kinds = _kinds(run, step, liveness)
    held: Counter[str] = Counter(dict.fromkeys(_KINDS_OF_ROLES.values(), 0))
    for variable in variables:
        held[_KINDS_OF_ROLES[variable.role]] += variable.bytes
    kept: dict[str, Counter[str]] = defaultdict(Counter)
    for buffer, kind in kinds.items():
        if buffer.is_kept:
            kept[kind][buffer.value.node.part] += buffer.bytes
    copies = _no_copies if run.for_tpu else einsum_copies.size
    replay = Replay(liveness, kinds, held, copies)
    return Memory(
        variables=dict(held),
        gradients=_gradients(run, step),
        weight_casts=dict(kept[program.CASTS]),
        activations=dict(kept[program.ACTIVATIONS]),
        before_backward=replay.before_backward or 0,
        peak=replay.peak.bytes,
        peak_part=replay.peak.part,
        peak_phase=replay.peak.phase,
        at_peak=replay.at_peak,
        timeline=replay.timeline,
    )


def _no_copies(node: Node) -> int:
    del node
    return 0


def _kinds(run: LoweredRun, step: Step, liveness: Liveness) -> dict[Buffer, str]:
    """Returns the kind of memory of each buffer."""
    gradients = set()
    for gradient in run.gradients.values():
        lowered = run.lowering.tensors[gradient].to_laid_out_tensor().one_slice
        value = step.value(lowered)
        gradients.add(value and liveness.buffer_of(value))
    kinds = {}
    for buffer in liveness.buffers:
        node = buffer.value.node
        if node.kind == "Cast" and isinstance(node.source, _OF_VARIABLES):
            kinds[buffer] = program.CASTS
        elif buffer in gradients:
            kinds[buffer] = program.GRADIENTS
        elif buffer.is_kept:
            kinds[buffer] = program.ACTIVATIONS
        else:
            kinds[buffer] = program.TEMPORARY
    return kinds


def _gradients(run: LoweredRun, step: Step) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for variable, gradient in run.gradients.items():
        size = run.mesh.slice_size(gradient.shape) * gradient.dtype.size
        sizes[step.parts.of_variable(variable)[0]] += size
    return dict(sizes)
