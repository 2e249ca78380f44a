"""The paragraph at the start of training: model, devices, types, optimizer, data, directory."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from primer.common import build_mode, console, random_seed
from primer.common.class_names import class_name, source_name
from primer.gin_config import gin_state
from primer.gin_config.values import bound, configured
from primer.parametrization import trained_weights
from primer.runtime import mesh, precision


def print_header(estimator: Any, batch_shape: Sequence[int], first_step: int, goal: int) -> None:
    """Prints the paragraph; the graph of training is the default graph.

    Args:
        estimator: the LocalEstimator.
        batch_shape: [rows, length] of the targets, behind further dimensions for an ensemble.
        first_step: the step of the checkpoint that training resumes from, or 0.
        goal: the last step.
    """
    settings = estimator.settings
    sizes = {v.op.name: v.shape.num_elements() for v in tf.trainable_variables()}
    trained = sum(size for name, size in sizes.items() if trained_weights.is_trained(name))
    parameters = sum(sizes.values())
    of_them = "" if trained == parameters else f" ({trained:,} trained, the others frozen)"
    with build_mode.building("train"):
        dtype, reason = precision.precision()
    rows, length = batch_shape[-2:]
    initial_weights = settings.get("init_checkpoint")
    if first_step:
        origin = f"resuming at step {first_step:,}"
    elif initial_weights:
        origin = f"from the weights of {initial_weights}"
    else:
        origin = "from the start"
    console.say(
        f"{describe_model(estimator)}, {parameters:,} parameters{of_them}, on "
        f"{describe_mesh(settings)}; "
        f"activations {dtype.name} ({reason}), weights float32; {describe_optimizer(settings)}. "
        f"{rows * length:,} tokens per step ({rows} rows of {length}), {goal:,} steps, {origin}, "
        f"seed {random_seed.run_seed()}. Data: {task_name()}. "
        f"Checkpoints, events and train.log: {estimator.model_dir}"
    )


def describe_model(estimator: Any) -> str:
    """Returns the number, the kinds and the width of the model's sublayers, as one phrase."""
    model = estimator.model
    stack = getattr(model, "layer_stack", None)
    if stack is None:
        return type(model).__name__
    kinds = list(dict.fromkeys(class_name(layer) for layer in stack._layers))
    phrase = f"{len(stack._layers)} sublayers ({', '.join(kinds)}) of width {model.model_dim.size}"
    return phrase + _describe_memory(stack._layers)


def _describe_memory(layers):
    """Returns what the layers remember in training, as a part of a sentence; empty for nothing."""
    found = [layer.recurrence for layer in layers if getattr(layer, "recurrence", None)]
    if not found:
        return ""
    recurrence = found[0]
    segments = f", segments of {recurrence.train.segment_length}"
    return (
        f", a memory of {recurrence.train.memory_length} positions"
        f"{segments if recurrence.train.segment_length else ''}"
        f"{', carried from row to row' if recurrence.carry_in_training else ''}"
    )


def describe_mesh(settings: Mapping[str, Any]) -> str:
    """Returns the devices and the mesh over them, as one phrase.

    Args:
        settings: the estimator's `settings`.
    """
    shape = settings.get("mesh_shape")
    gpus = tf.config.list_physical_devices("GPU")
    device = f"{len(gpus)} GPU{'s' * (len(gpus) > 1)}" if gpus else "the CPU"
    if shape is None or shape.size == 1:
        return device
    return f"{device} as a mesh {mesh.shape_as_text(shape)} (layout {settings.get('layout_rules')})"


def describe_optimizer(settings: Mapping[str, Any]) -> str:
    """Returns the optimizer, its weight decay, the clipping and the schedule, as one phrase.

    Args:
        settings: the estimator's `settings`.
    """
    optimizer, schedule = settings.get("optimizer"), settings.get("learning_rate_schedule")
    if optimizer is None:
        return "no optimizer"
    with tf.Graph().as_default():  # Apart: a class of the user's may add operations.
        decay = getattr(optimizer(learning_rate=0.0), "weight_decay", 0)
    clip_norm = configured("training_optimizer.clip_norm")
    details = [f"decay {decay:g}"] if decay else []
    details += [f"clipped at {clip_norm:g}"] if clip_norm else []
    phrase = f"optimizer {source_name(optimizer)}"
    if details:
        phrase += f" ({', '.join(details)})"
    return f"{phrase}, learning rate {_describe_rate(schedule)}"


def _describe_rate(schedule):
    if not callable(schedule):
        return f"{schedule:g}" if isinstance(schedule, (int, float)) else str(schedule)
    name = source_name(getattr(schedule, "func", schedule))
    scopes = [
        scope
        for (scope, selector), parameters in gin_state.bindings().items()
        if selector.rsplit(".", 1)[-1] == name and "learning_rate" in parameters
    ]
    if scopes != [""]:  # It has no such parameter, or which of several is in force is unknown.
        return f"by {name}"
    return f"up to {configured(f'{name}.learning_rate'):g} by {name}"


def task_name() -> str:
    """Returns the task or mixture of gin's MIXTURE_NAME; MtfModel gets it as an argument."""
    return str(bound("%MIXTURE_NAME", "as MtfModel's caller names them"))
