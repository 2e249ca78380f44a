"""Rebuilds the Mesh-TensorFlow model of a model directory from the directory's own settings."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import gin
import mesh_tensorflow as mtf
import seqio
from mesh_tensorflow.transformer import transformer, utils

from primer.checkpoints import vocabulary_copy
from primer.data import preflight
from primer.gin_config import isolation
from primer.gin_config.values import bound, configured
from primer.runtime import estimator_model, mesh, model_function


@dataclasses.dataclass(frozen=True)
class SavedModel:
    """A model without weights, as the settings of its directory describe it.

    Attributes:
        model: the Mesh-TF model.
        vocabulary: the vocabulary of the task, resolved.
        task_name: the task or mixture that the model was trained on.
        length: tokens of the model's window.
        mesh: (mesh_shape, layout_rules, mesh_devices) of the run.
        function: what decides the function of the model.
    """

    model: transformer.Unitransformer
    vocabulary: seqio.Vocabulary
    task_name: str
    length: int
    mesh: tuple[str | mtf.Shape, str | mtf.LayoutRules, Any]
    function: model_function.ModelFunction


@contextlib.contextmanager
def settings_of(model_dir: str, config_file: str) -> Iterator[None]:
    """A context in which gin's configuration is that of a model directory.

    Args:
        model_dir: the directory; its copy of the vocabulary is used.
        config_file: the path of its `config.gin`.
    """
    with isolation.isolated():
        # As the engine's --module_import does: it registers all that the settings may name.
        gin.parse_config("import t5_imports")
        gin.parse_config_file(config_file)
        with vocabulary_copy.use_copy(model_dir, _task_vocabulary(estimator_model.task_name())):
            yield


def build(model_dir: str) -> SavedModel:
    """Builds the model that gin configures, inside of `settings_of`.

    Raises:
        UsageError: the checkpoints of the directory are of another model.
    """
    task_name = estimator_model.task_name()
    vocabulary = _task_vocabulary(task_name)
    # Resolved here: gin's choice of a vocabulary holds inside the block only.
    resolved = vocabulary.resolve() if hasattr(vocabulary, "resolve") else vocabulary
    mesh_shape, layout_rules, devices = _configured_mesh()
    model = utils.build_model(
        model_type=configured("utils.run.model_type", "lm"),
        input_vocab_size=resolved.vocab_size,
        output_vocab_size=resolved.vocab_size,
        layout_rules=layout_rules,
        mesh_shape=mesh_shape,
    )
    length = configured("utils.run.sequence_length", {"targets": 512})["targets"]
    function = model_function.of_model(model, vocabulary, length)
    model_function.check(model_dir, function)
    mesh_of_run = (mesh_shape, layout_rules, devices)
    return SavedModel(model, resolved, task_name, length, mesh_of_run, function)


def _task_vocabulary(task_name):
    return preflight.find_task(task_name).output_features["targets"].vocabulary


def _configured_mesh():
    """Mesh shape, layout and devices of the run; for a TPU's mesh, those of this machine."""
    if getattr(bound("utils.run.mesh_shape"), "selector", "").endswith("tpu_mesh_shape"):
        return mesh.mesh_shape(), configured("utils.run.layout_rules", ""), mesh.mesh_devices()
    names = ("mesh_shape", "layout_rules", "mesh_devices")
    shape, layout, devices = (configured(f"utils.run.{name}") for name in names)
    return shape or "", layout or "", devices
