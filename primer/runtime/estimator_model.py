"""The model of an estimator, its sequence length and the task of a run."""

from typing import Any

from mesh_tensorflow.transformer import transformer, utils

from primer.errors import UsageError
from primer.gin_config.values import configured


def length_of(estimator: Any) -> int:
    """Returns the sequence length of the model's targets, in tokens."""
    return estimator.settings["sequence_length"]["targets"]


def model_of(estimator: Any) -> Any:
    """Returns the Mesh-TF model of an estimator; for a TPUEstimator it is built again from gin."""
    if hasattr(estimator, "model"):
        return estimator.model
    settings = estimator.settings
    return utils.build_model(
        settings["model_type"],
        utils.inputs_vocabulary(settings["vocabulary"]).vocab_size,
        utils.targets_vocabulary(settings["vocabulary"]).vocab_size,
        settings["layout_rules"],
        settings["mesh_shape"],
    )


def is_masked(model: Any) -> bool:
    """Returns whether a model is a masked language model: one stack that sees both sides."""
    return isinstance(model, transformer.Unitransformer) and not model.autoregressive


def kind_of(model: Any) -> str:
    """Returns what a model is and the setting that says so, as part of a sentence."""
    if is_masked(model):
        return "a masked language model (utils.run.model_type = 'aligned')"
    return f"a {type(model).__name__} (utils.run.model_type)"


def task_name() -> str:
    """Returns the task or mixture that gin names for training.

    Raises:
        UsageError: gin names none.
    """
    name = configured("mesh_train_dataset_fn.mixture_or_task_name")
    if not name:
        raise UsageError(
            "no task: set MIXTURE_NAME, and give dataset.gin or a file of datasets/ (--gin_file)"
        )
    return name
