"""Training on rows that continue those of the batch before, with the memory of the model's layers.

The variables of the memory are saved in checkpoints, so that a resumed run goes on as an
uninterrupted one. A checkpoint without them starts with empty memory; with those of other columns
it belongs to another batch.
"""

from collections.abc import Iterable
from typing import Any

import tensorflow.compat.v1 as tf

from primer.checkpoints import checkpoint_files
from primer.common.recurrence import carried_state
from primer.errors import UsageError


def parts_of(model: Any, dtype: tf.DType = tf.float32) -> dict[str, Any]:
    """Returns the parts of the state that a model carries in training, as `carried_state` has them.

    Args:
        model: a Mesh-TF model.
        dtype: the type of activations.
    """
    carried_parts = getattr(getattr(model, "layer_stack", None), "carried_parts", None)
    return carried_parts(model.model_dim, dtype, train=True) if carried_parts else {}


def check_input(model: Any, columns: int | None) -> None:
    """Checks that the rows of the input continue those of the batch before, if memory does.

    Args:
        model: the Mesh-TF model.
        columns: the columns of the text that the input reports; None: rows are in another order.

    Raises:
        UsageError: memory would go to rows of other text.
    """
    if columns is None and parts_of(model):
        raise UsageError(
            "carry_memory = True, and the rows of the training data do not continue one another: "
            "use objectives/lm_stream.gin, after the file of the data set; or "
            "carry_memory = False, and segment_length below the length of a row"
        )


def declare(model: Any, dtype: tf.DType, for_tpu: bool) -> None:
    """Declares the state of the training graph that is built next in the default graph.

    Args:
        model: the Mesh-TF model.
        dtype: the type of activations.
        for_tpu: whether the graph is for a TPU.

    Raises:
        UsageError: a state is carried on a TPU, or by an ensemble.
    """
    parts = parts_of(model, dtype)
    if not parts:
        return
    if for_tpu:
        raise UsageError(
            "carry_memory = True, and memory from row to row was not built for TPUs: set "
            "segment_length below the length of a row, and carry_memory = False"
        )
    if model.ensemble_dims:
        raise UsageError(
            "carry_memory = True, and an ensemble has no memory: leave utils.run.ensemble_inputs "
            "and Unitransformer.ensemble out"
        )
    carried_state.declare({**parts, carried_state.LAST_TOKENS: ((), tf.int32)})


def check_columns(path: str, missing: Iterable[str]) -> None:
    """Checks that a checkpoint has the memory of the run's columns, or none.

    Args:
        path: the checkpoint that the run resumes from.
        missing: names of the graph's variables that it lacks or has in other shapes.

    Raises:
        UsageError: it has the memory of other columns.
    """
    shapes = checkpoint_files.open_reader(path).get_variable_to_shape_map()
    own = {v.op.name: v.shape.as_list() for v in carried_state.graph_variables()}
    for name in missing:
        if name in own and name in shapes:
            raise UsageError(
                f"the checkpoint {path} has the memory of other columns: {name} is {shapes[name]}, "
                f"and of this run {own[name]} (rows, positions of memory, width). Keep "
                "utils.run.batch_size, memory_length and sequence_length as they were, or start "
                "a new model_dir from its weights with utils.run.init_checkpoint"
            )
