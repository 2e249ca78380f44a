"""Legal values of the settings of a run: its mode, the batch, the data type, the estimator."""

from typing import Any

from primer.common import checks
from primer.errors import UsageError

ACTIVATION_DTYPES = ("auto", "float32", "bfloat16")
ESTIMATORS = ("local", "tpu_estimator")

# The modes of Mesh-TensorFlow's utils.run.
MODES = (
    *("train", "perplexity_eval", "eval", "score_eval", "infer"),
    *("score_from_strings", "score_from_dataset", "export_score", "export_infer", "export"),
)

# How a pair gives the size of a batch.
BATCH_METHODS = (
    "tokens_per_batch",
    "tokens_per_replica",
    "sequences_per_batch",
    "sequences_per_replica",
)


def check_activation_dtype(value: Any) -> None:
    """Raises UsageError unless a value is legal for `precision.activation_dtype`."""
    _one_of("precision.activation_dtype", value, ACTIVATION_DTYPES)


def check_dtype(setting: str, value: Any) -> None:
    """Raises UsageError unless a value names the type of activations itself, not "auto"."""
    _one_of(setting, value, ACTIVATION_DTYPES[1:])


def check_estimator(value: Any) -> None:
    """Raises UsageError unless a value is legal for `estimator.kind`."""
    _one_of("estimator.kind", value, ESTIMATORS)


def check_mode(value: Any) -> None:
    """Raises UsageError unless a value is legal for `utils.run.mode`."""
    _one_of("utils.run.mode", value, MODES)


def check_batch_size(value: Any) -> None:
    """Raises UsageError unless a value is legal for `utils.run.batch_size`."""
    if isinstance(value, (tuple, list)) and len(value) == 2:
        if value[0] in BATCH_METHODS and checks.is_number(value[1]):
            return
    elif isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return
    shown = tuple(value) if isinstance(value, list) else value
    raise UsageError(
        f"utils.run.batch_size is {shown!r}: expected a number of rows, or a pair of one of "
        f"{', '.join(BATCH_METHODS)} and a number"
    )


def check_train_steps(value: Any) -> None:
    """Raises UsageError unless a value is legal for `utils.run.train_steps`."""
    if not checks.is_number(value):
        raise UsageError(f"utils.run.train_steps = {value!r}: expected a number of steps")


def _one_of(setting: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{setting} = {value!r}: expected one of {', '.join(choices)}")
