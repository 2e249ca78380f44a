"""What an estimator runs: its model, its window and its task."""

from mesh_tensorflow.transformer import utils

from primer.errors import UsageError
from primer.gin_config.values import configured


def length_of(estimator) -> int:
    """Tokens of the model's window."""
    return estimator.settings["sequence_length"]["targets"]


def model_of(estimator):
    """The Mesh-TF model of an estimator; TensorFlow's own does not tell, and is asked as gin is."""
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


def task_name() -> str:
    """The task or mixture that training reads, from gin."""
    name = configured("mesh_train_dataset_fn.mixture_or_task_name")
    if not name:
        raise UsageError(
            "no task: set MIXTURE_NAME, and give dataset.gin or a file of datasets/ (--gin_file)"
        )
    return name
