"""Names of files in a directory that a JSON file of the same directory records.

Imports no TensorFlow.
"""

from typing import Any

from primer.errors import UsageError


def check(name: Any, record: str) -> str:
    """Returns a name that a record gives for a file beside it.

    Args:
        name: what the record has, read from JSON.
        record: the path of the record, for the error.

    Raises:
        UsageError: it is no plain name: with it, files outside of the directory would be read.
    """
    is_name = isinstance(name, str) and name not in ("", ".", "..")
    if not is_name or any(separator in name for separator in "/\\:\0"):
        raise UsageError(
            f"{record} names the file {name!r}; expected the name of a file in the same directory: "
            "the record is damaged or not to be trusted"
        )
    return name
