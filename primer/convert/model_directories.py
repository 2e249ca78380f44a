"""Weights of a model directory's checkpoint, and a new model directory of given weights."""

import contextlib
import dataclasses
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from primer import saved_model
from primer.checkpoints import (
    averaging,
    checkpoint_files,
    checkpoint_state,
    model_directory,
    vocabulary_copy,
)
from primer.checkpoints.description import variable_roles
from primer.common import files
from primer.data import preflight
from primer.errors import RunError, UsageError
from primer.gin_config import isolation
from primer.parametrization import lora_weights
from primer.planning import parse
from primer.runtime import estimator_model
from primer.saved_model import SavedModel


def read_weights(model_dir: str, path: str) -> dict[str, np.ndarray]:
    """Returns {variable: float32 array} of the weights in a checkpoint, those of LoRA merged.

    Args:
        model_dir: the directory of the run.
        path: the checkpoint, ".../model.ckpt-N".

    Raises:
        UsageError: it is not known which variables are weights.
        RunError: the checkpoint cannot be read, or has values that are not finite.
    """
    checkpoint_files.check_whole(path)
    reader = checkpoint_files.open_reader(path)
    names = variable_roles.select_weights(model_dir, reader.get_variable_to_shape_map())
    own = [name for name in names if name != checkpoint_files.GLOBAL_STEP]
    found = {name: averaging.finite_value(reader, name, path).astype(np.float32) for name in own}
    record = model_directory.read_record(model_dir) or {}
    return lora_weights.merged(found, lora_weights.alpha_of_record(record))


def description_of(saved: SavedModel) -> dict[str, Any]:
    """Returns the description of the model that `read_weights` reads: without LoRA's settings."""
    described = saved.function.description
    configuration = {
        name: value
        for name, value in described["configuration"].items()
        if not name.startswith("lora.")
    }
    return {**described, "configuration": configuration}


@dataclasses.dataclass(frozen=True)
class NewModel:
    """A model without weights, whose directory is to be written.

    Attributes:
        files: its gin files, with those of its data set.
        bindings: its gin bindings.
        token_ids: the number of token ids that the weights are for.
    """

    files: Sequence[str]
    bindings: Sequence[str]
    token_ids: int


def write(model_dir: str, model: NewModel, variables: Mapping[str, np.ndarray]) -> None:
    """Writes a model directory with a checkpoint of step 0, whole or not at all.

    Args:
        model_dir: a directory that does not exist, or is empty.
        model: what the weights are of.
        variables: {variable: array}, all weights of the model.

    Raises:
        UsageError: the directory has files; the gin files describe no model, or one of other
            weights or another number of token ids.
        RunError: the directory cannot be written.
    """
    with new_folder(model_dir, "--model_dir") as folder, isolation.isolated():
        parse.parse_files(model.files, model.bindings)
        _write_inside(folder, variables, model.token_ids)


@contextlib.contextmanager
def new_folder(folder: str, option: str) -> Iterator[str]:
    """Yields a temporary folder that has the name `folder` where the block succeeds.

    Args:
        folder: a folder that does not exist, or is empty.
        option: what names it, for messages.

    Raises:
        UsageError: it has files.
        RunError: it cannot be written.
    """
    check_is_new(folder, option)
    temporary = f"{folder.rstrip('/')}.part-{uuid.uuid4().hex[:8]}"
    try:
        os.makedirs(temporary)
        yield temporary
        if os.path.isdir(folder):
            os.rmdir(folder)
        os.rename(temporary, folder)
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or files.first_line(error)
        raise RunError(f"{option} = {folder!r} cannot be written: {reason}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_is_new(folder: str, option: str) -> None:
    """Raises UsageError where a folder has files, or a file has its name."""
    if os.path.isdir(folder) and not os.listdir(folder):
        return
    if os.path.lexists(folder):
        raise UsageError(f"{option} = {folder!r} exists already: name a new folder")


def _write_inside(folder: str, variables: Mapping[str, np.ndarray], token_ids: int) -> None:
    """Writes the files of the model that gin configures."""
    with parse.building("the model"):
        saved = saved_model.build(folder)
    size = saved.vocabulary.vocab_size
    if size != token_ids:  # Tables are padded: their shapes may be equal.
        raise UsageError(
            f"the task {saved.task_name} has {size:,} token ids, and the model {token_ids:,}: name "
            "its vocabulary (task_vocabulary.name, task_vocabulary.model_file)"
        )
    function = saved.function
    _check_shapes(function.shapes, variables)
    task = preflight.find_task(estimator_model.task_name())
    vocabulary = task.output_features["targets"].vocabulary
    record = function.description | vocabulary_copy.save_copy(folder, vocabulary)
    record[variable_roles.KEY] = {"weights": sorted(variables), "optimizer": []}
    step = {checkpoint_files.GLOBAL_STEP: np.array(0, np.int64)}
    averaging.save(folder, 0, {**variables, **step})
    model_directory.write_record(folder, record)
    checkpoint_state.write(folder, ["model.ckpt-0"])


def _check_shapes(shapes: Mapping[str, Sequence[int]], variables: Mapping[str, np.ndarray]) -> None:
    """Raises UsageError where the weights are not those of the model."""
    for name in sorted({*shapes, *variables}):
        if name not in variables:
            raise UsageError(f"the model has {name}, and the weights have not")
        if name not in shapes:
            raise UsageError(f"the weights have {name}, and the model has not")
        if list(shapes[name]) != list(variables[name].shape):
            raise UsageError(
                f"{name} is {list(shapes[name])} in the model, and {list(variables[name].shape)} "
                "in the weights"
            )
