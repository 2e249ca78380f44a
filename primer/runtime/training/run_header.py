"""The paragraph that a run opens with: what is trained, on what, and where things go."""

import tensorflow.compat.v1 as tf

from primer.common import build_mode, console, random_seed
from primer.common.class_names import class_name
from primer.gin_config.values import bound
from primer.runtime import mesh, precision


def start(estimator, batch_shape, first_step, goal):
    """Prints the paragraph once the graph is built."""
    settings = estimator.settings
    parameters = sum(v.shape.num_elements() for v in tf.trainable_variables())
    with build_mode.building("train"):
        dtype, why = precision.precision()
    rows, length = batch_shape[-2:]
    weights = bound("utils.run.init_checkpoint")
    start_of_run = f"from the weights of {weights}" if weights else "from the start"
    resumed = f"resuming at step {first_step:,}" if first_step else start_of_run
    console.say(
        f"{describe_model(estimator)}, {parameters:,} parameters, on {describe_mesh(settings)}; "
        f"activations {dtype.name} ({why}), weights float32. "
        f"{rows * length:,} tokens per step ({rows} rows of {length}), {goal:,} steps, {resumed}, "
        f"seed {random_seed.run_seed()}. Data: {task_name()}. "
        f"Checkpoints, events and train.log: {estimator.model_dir}"
    )


def describe_model(estimator) -> str:
    """One phrase: the sublayers of all blocks of the model, their number and width."""
    model = estimator.model
    stack = getattr(model, "layer_stack", None)
    if stack is None:
        return type(model).__name__
    kinds = list(dict.fromkeys(class_name(layer) for layer in stack._layers))
    return f"{len(stack._layers)} sublayers ({', '.join(kinds)}) of width {model.model_dim.size}"


def describe_mesh(settings) -> str:
    """The devices and the mesh over them."""
    shape = settings.get("mesh_shape")
    gpus = tf.config.list_physical_devices("GPU")
    device = f"{len(gpus)} GPU{'s' * (len(gpus) > 1)}" if gpus else "the CPU"
    if shape is None or shape.size == 1:
        return device
    return f"{device} as a mesh {mesh.as_text(shape)} (layout {settings.get('layout_rules')})"


def task_name() -> str:
    """The task or mixture that the gin files name."""
    return str(bound("%MIXTURE_NAME", "as the model's caller says"))
