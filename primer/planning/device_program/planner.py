"""Builds, lowers and counts the program of one device of a mesh."""

import dataclasses
from collections import Counter

import mesh_tensorflow as mtf

from primer.common import gc_pause
from primer.planning.device_program import lowered_run, memory, program
from primer.planning.device_program.lowered_run import LoweredRun
from primer.planning.device_program.operations import Step
from primer.planning.device_program.parts import RECOMPUTE, UPDATE
from primer.planning.device_program.program import Collective, DeviceProgram, DeviceVariable
from primer.planning.device_program.work import WorkCount


def device_program(
    vocabulary_size: int,
    mesh_shape: str,
    layout_rules: str,
    mode: str = "train",
    for_tpu: bool = True,
) -> DeviceProgram:
    """Returns the program of one device for the model and the run that gin describes.

    Args:
        vocabulary_size: the number of token ids.
        mesh_shape: as `utils.run.mesh_shape`, such as "batch:8,model:16"; "" is one device.
        layout_rules: as `utils.run.layout_rules`.
        mode: "train" or "eval".
        for_tpu: whether the graph is a TPU's (`lowered_run.lower`).

    Raises:
        UsageError: gin describes another model than a language model.
        ValueError: the layout does not fit the mesh or a dimension.
    """
    with gc_pause.paused():
        return of_run(lowered_run.lower(vocabulary_size, mode, mesh_shape, layout_rules, for_tpu))


def of_run(run: LoweredRun) -> DeviceProgram:
    """Returns the program of a lowered graph."""
    step = Step(run)
    count = WorkCount(run, step.nodes)
    variables = _variables(run, step)
    loops = [loop for loop in step.loops if loop.is_known]
    return DeviceProgram(
        mode=run.mode,
        mesh={dim.name: dim.size for dim in run.mesh.shape.dims},
        layout=sorted(run.mesh.layout_rules._pairs),
        batch=run.batch,
        microbatches=max((loop.trips for loop in loops), default=1),
        recomputes=any(phase == RECOMPUTE for _, phase in count.work),
        activation_dtype=run.activation_dtype.name,
        parts=step.parts.names,
        variables=variables,
        collectives=_collectives(run, step),
        work=dict(count.work),
        kernels=count.kernels(),
        memory=memory.of_step(run, step, variables),
        notes=_notes(step),
    )


def _variables(run: LoweredRun, step: Step) -> list[DeviceVariable]:
    """Returns the slices of the variables, of each one before equal ones were stacked."""
    found = []
    for variable in run.lowering.original_variables:
        part, phase = step.parts.of_variable(variable)
        shape = tuple(run.mesh.slice_shape(variable.shape))
        other = program.SLOT if phase == UPDATE else program.STATE
        found.append(
            DeviceVariable(
                name=variable.name,
                part=part,
                role=program.PARAMETER if variable.trainable else other,
                shape={dim.name: dim.size for dim in variable.shape.dims},
                slice_shape=shape,
                dtype=variable.slice_dtype.name,
                bytes=mtf.list_product(shape) * variable.slice_dtype.size,
            )
        )
    return found


def _collectives(run: LoweredRun, step: Step) -> list[Collective]:
    """Returns the collectives whose results the step needs, equal ones together."""
    times: Counter[Collective] = Counter()
    dims = run.mesh.shape.dims
    for lowered in run.mesh.collectives:
        node = step.by_operation.get(lowered.operation)
        if node is None:
            continue
        operand = node.inputs[0]
        axes = [dims[axis] for axis in lowered.axes]
        collective = Collective(
            kind=lowered.kind,
            purpose=lowered.purpose,
            axes=tuple(dim.name for dim in axes),
            group_size=mtf.Shape(axes).size,
            bytes=operand.bytes,
            dtype=lowered.operation.inputs[0].dtype.name,
            shape=operand.shape or (),
            part=node.part,
            phase=node.phase,
            times=0,
        )
        times[collective] += node.times
    return [dataclasses.replace(c, times=number) for c, number in times.items()]


def _notes(step: Step) -> list[str]:
    """Returns what the numbers do not include."""
    if all(loop.is_known for loop in step.loops):
        return []
    return ["A loop whose number of iterations the graph does not say counts once."]
