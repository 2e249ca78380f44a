"""Legal values of the settings of evaluation: the protocol, the order of rows, files of scores."""

from typing import Any

from primer.common import checks
from primer.errors import UsageError

PROTOCOLS_LEFT_TO_RIGHT = (
    *("stream", "document", "packed", "sliding", "as_released"),
    "transformer_xl",
)
PROTOCOLS = (*PROTOCOLS_LEFT_TO_RIGHT, "masked")

# The order of a table of results -> the column of it.
ORDERS = {"step": "step", "loss": "nats_per_token", "flops": "training_flops"}

JSONL, PARQUET = "jsonl", "parquet"
SCORE_FORMATS = (JSONL, PARQUET)
# What a document of a .txt file is.
UNITS_OF_FILES = ("file", "line")


def check_protocol(
    name: Any, stride: Any = None, columns: Any = None, ext_len: Any = None, accuracy: Any = None
) -> None:
    """Raises UsageError for a protocol's name, or for a setting that it lacks or does not have.

    Args:
        name: `protocol.name`.
        stride: `protocol.stride`.
        columns: `protocol.columns`.
        ext_len: `protocol.ext_len`.
        accuracy: `protocol.accuracy`.
    """
    if accuracy is not None:
        checks.boolean("protocol.accuracy (--accuracy)", accuracy)
    if name not in PROTOCOLS:
        raise UsageError(
            f"protocol.name = {name!r} (--protocol): expected one of {', '.join(PROTOCOLS)}"
        )
    if name == "sliding":
        checks.whole_number(
            "protocol.stride (--stride)",
            stride,
            expected="1 or more tokens between two windows (protocol sliding); half the "
            "model's length is common",
        )
    own = {"stride": ("sliding", stride)}
    own |= {"columns": ("transformer_xl", columns), "ext_len": ("transformer_xl", ext_len)}
    for setting, (protocol, value) in own.items():
        if value is not None and name != protocol:
            raise UsageError(
                f"protocol.{setting} = {value!r} (--{setting}) is for the protocol {protocol}, and "
                f"protocol.name is {name!r}; leave it out, or choose {protocol}"
            )
    if columns is not None:
        checks.whole_number("protocol.columns (--columns)", columns)
    if ext_len is not None:
        checks.whole_number("protocol.ext_len (--ext_len)", ext_len, least=0)


def check_score_protocol(name: Any) -> None:
    """Raises UsageError for a protocol that gives documents no scores."""
    if name == "as_released":
        raise UsageError(
            "protocol.name = 'as_released' (--protocol) scores the rows of a training pipeline and "
            "not documents; choose packed, document, stream or sliding"
        )
    if name == "transformer_xl":
        raise UsageError(
            "protocol.name = 'transformer_xl' (--protocol) leaves out tokens; choose packed, "
            "document or stream"
        )


def check_order(order_by: Any) -> None:
    """Raises UsageError for another name than those of ORDERS."""
    if order_by not in ORDERS:
        raise UsageError(
            f"evaluate_checkpoints.order_by = {order_by!r}: expected one of {', '.join(ORDERS)}"
        )


def check_score_input(files: Any, split: Any, task: Any) -> None:
    """Raises UsageError unless `score_texts` has files or a split, and a task only with a split."""
    if bool(files) == bool(split):
        raise UsageError(
            "primer score takes files, or --split for a data set"
            + (", not both" if files else "; there is neither")
        )
    if task and not split:
        raise UsageError("--task goes with --split; files are read without a task")


def check_score_unit(unit: Any) -> None:
    """Raises UsageError unless a value is legal for `score_texts.unit`."""
    if unit not in UNITS_OF_FILES:
        expected = " or ".join(UNITS_OF_FILES)
        raise UsageError(f"score_texts.unit = {unit!r} (--unit): expected {expected}")


def check_score_format(form: Any, output: Any) -> None:
    """Raises UsageError for an unknown `score_texts.format`, or Parquet on standard output."""
    if form not in SCORE_FORMATS:
        raise UsageError(
            f"score_texts.format = {form!r} (--format): expected {' or '.join(SCORE_FORMATS)}"
        )
    if form == PARQUET and not output:
        raise UsageError("--format parquet cannot go to standard output: name a file with --output")
