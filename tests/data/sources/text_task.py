"""Binds, writes and reads the files of the task `text`, for the tests of its modules."""

import gzip
import lzma

import gin
import pytest

from primer.data import preflight, whole_documents
from primer.errors import UsageError


def bind(**settings):
    """Binds settings of `text_files`."""
    for name, value in settings.items():
        gin.bind_parameter(f"text_files.{name}", value)


def write(path, content):
    """Writes text or bytes, compressed by the package that others use for the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content if isinstance(content, bytes) else content.encode()
    compressors = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": _zstandard}
    path.write_bytes(compressors.get(path.suffix, bytes)(data))


def _zstandard(data):
    return pytest.importorskip("zstandard").compress(data)


def write_parquet(path, texts, field="text"):
    """Writes a table with a column of texts and a column of numbers."""
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    table = pyarrow.table({field: texts, "number": list(range(len(texts)))})
    parquet.write_table(table, path, row_group_size=2)


def read(split="train"):
    """The documents of a split."""
    return [text for text, _ in whole_documents.documents("text", split)]


def error_of(split="train"):
    """The one-line error of checking a split, after reading has given the same error."""
    with pytest.raises(UsageError) as error:
        preflight.check_split("text", split)
    message = str(error.value)
    assert "\n" not in message
    with pytest.raises(UsageError, match="^" + message[:20].replace("(", r"\(")):
        read(split)
    return message
