"""The gin bindings that the manifest of a prepared data set may record, and a check of them.

They become `--gin_param` of the command that trains on the data, so a manifest that somebody else
has written could otherwise set anything, also names that are not settings at all.
"""

import math
from collections.abc import Mapping
from typing import Any

from primer.errors import UsageError

_PARAMETERS = {
    "task_vocabulary": ("name", "extra_ids"),
    "text_files": (
        "glob",
        "unit",
        "field",
        "held_out",
        "on_bad_utf8",
        "normalize",
        "max_document_bytes",
    ),
    "local_data": ("folder", "check", "block_bytes"),
}
NAMES = tuple(f"{owner}.{name}" for owner, names in _PARAMETERS.items() for name in names)


def check(bindings: Any, path: str) -> Mapping[str, Any]:
    """Returns the bindings of a manifest.

    Args:
        bindings: what the manifest has, read from JSON.
        path: the manifest, for the error.

    Raises:
        UsageError: a binding is not one of NAMES, or its value is not plain.
    """
    if not isinstance(bindings, Mapping):
        raise UsageError(f"{path}: bindings is {bindings!r}; {_PREPARE_AGAIN}")
    for name, value in bindings.items():
        if name not in NAMES:
            raise UsageError(
                f"{path} binds {name!r}; expected {', '.join(NAMES)} only: a prepared data set "
                f"sets nothing else. {_PREPARE_AGAIN}"
            )
        if not _is_plain(value):
            raise UsageError(f"{path} binds {name} = {value!r}: no such value; {_PREPARE_AGAIN}")
    return bindings


_PREPARE_AGAIN = "Prepare the data again, or take them from somebody you trust"


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, (bool, int, str))
