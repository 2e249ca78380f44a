"""Reads the documents of a file, or of a part of it, in Python: one reader for every format.

Where every file is one document, .txt or .txt.gz, `text_files` uses TensorFlow's faster readers,
which give the same bytes. This reader serves lines and the other formats, the checks before a run,
`primer data prepare` and `primer data inspect`.
"""

import collections
import dataclasses
import functools
import itertools
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import tensorflow as tf

from primer.common import files, text_lines, user_paths
from primer.data.sources import formats
from primer.errors import UsageError

if TYPE_CHECKING:
    from primer.data.sources.text_files import TextFiles  # It imports this module.

_BYTE_ORDER_MARK = "\ufeff".encode()
_ROWS_AT_ONCE = 256
_CHUNK = 1 << 20
_SMALLEST_CHUNK = 1 << 16

# What reading a damaged file may raise; Arrow's errors are OSErrors and ValueErrors.
READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, tf.errors.OpError)


@dataclasses.dataclass(frozen=True)
class FilePart:
    """A file, or the share of it that one of several readers reads.

    Attributes:
        path: the file.
        start, end: bytes, in a file that allows seeking: the lines that begin at `start` or later
            and before `end` are read (None: the end of the file).
        part, parts: in any other file: every `parts`-th line or row is read, from number `part` on.
    """

    path: str
    start: int = 0
    end: int | None = None
    part: int = 0
    parts: int = 1


@dataclasses.dataclass
class SkipCounts:
    """Counts the documents that were left out, by reason.

    Attributes:
        not_utf8: file -> its documents that are not UTF-8 (text_files.on_bad_utf8 = "skip").
        empty: number of documents of white space only.
    """

    not_utf8: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    empty: int = 0


class _Position:
    """The line, row or byte that a reader has reached, as error messages show it."""

    def __init__(self, unit, number):
        self.unit = unit
        self.number = number

    def __str__(self):
        return f"{self.unit} {self.number:,}"


class DocumentTooLongError(ValueError):
    """A document is longer than text_files.max_document_bytes."""


def read_documents(
    part: FilePart, settings: "TextFiles", skipped: SkipCounts | None = None
) -> Iterator[bytes]:
    """Yields the documents in order: UTF-8, lines ending in a line feed, none empty.

    Args:
        part: the file, or the part of it, to read.
        settings: how the file divides into documents.
        skipped: counts the documents that are left out.

    Raises:
        UsageError: the file is damaged, does not have the format of its suffix, is not UTF-8, or
            has a document longer than the settings allow.
    """
    for _, text in read_numbered_documents(part, settings, skipped):
        yield text


def read_numbered_documents(
    part: FilePart, settings: "TextFiles", skipped: SkipCounts | None = None
) -> Iterator[tuple[int, bytes]]:
    """Yields (number, document) as `read_documents`, with the document's line or row from 1.

    Documents that are left out count. The numbers are those of a part that begins at the start of
    its file.
    """
    skipped = SkipCounts() if skipped is None else skipped
    position = _Position("line", 1)
    convert, raw_documents = _raw_documents(part, settings, position)
    normalize = text_normalizer(settings.normalize)
    try:
        for content in raw_documents:
            try:
                text = normalize(clean_utf8(convert(content)))
            except UnicodeDecodeError as error:
                if settings.on_bad_utf8 != "skip":
                    raise not_utf8_error(part.path, position, error) from error
                skipped.not_utf8[part.path] += 1
                continue
            if text and not text.isspace():
                yield position.number, text
            else:
                skipped.empty += 1
    except DocumentTooLongError as error:
        raise _too_long_error(part.path, position, settings) from error
    except READ_ERRORS as error:
        raise unreadable_error(part.path, position, error) from error


def clean_utf8(content: bytes) -> bytes:
    """Returns UTF-8 without a byte order mark, lines ending in a line feed.

    Raises:
        UnicodeDecodeError: the content is not UTF-8.
    """
    if not content.isascii():
        content.decode("utf-8")
        content = content.removeprefix(_BYTE_ORDER_MARK)
    return text_lines.with_line_feeds(content)


@functools.cache
def text_normalizer(name: str | None) -> Callable[[bytes], bytes]:
    """Returns the function that applies the setting text_files.normalize to a text."""
    if name is None:
        return lambda content: content
    import ftfy

    def normalize(content):
        return ftfy.fix_text(content.decode("utf-8"), normalization="NFKC").encode()

    return normalize


def not_utf8_error(path: str, position: object, error: UnicodeDecodeError) -> UsageError:
    """Returns the error for bytes that are not UTF-8.

    Args:
        path: the file.
        position: where the document begins; from "line 1" the lines up to the bytes are counted.
        error: Python's error, which holds the bytes.
    """
    byte = error.object[error.start]
    if str(position) == "line 1":
        before = error.object[: error.start]
        position = f"line {len(text_lines.split_lines(before + b'.')):,}"
    return UsageError(
        f"{path} is not UTF-8 ({position}: byte 0x{byte:02x}); convert it, as with "
        "iconv -f LATIN1 -t UTF-8, leave it out of text_files.glob, or leave such documents out "
        "with text_files.on_bad_utf8 = 'skip'"
    )


def _too_long_error(path, position, settings):
    hint = "divide it"
    if settings.unit == "file" and path.endswith(".txt"):
        hint += ", count each line as a document with text_files.unit = 'line'"
    return UsageError(
        f"{path} has a document of more than {settings.max_document_bytes:,} bytes ({position}); "
        f"{hint}, or increase text_files.max_document_bytes"
    )


def unreadable_error(path: str, position: object, error: Exception) -> UsageError:
    """Returns the error for a file that is damaged or not in the format of its suffix."""
    return UsageError(
        f"{path} cannot be read ({position}): {files.first_line(error)}; repair it or leave it out "
        "of text_files.glob"
    )


def _raw_documents(part, settings, position):
    """Returns (function that extracts a document's bytes, what it is applied to).

    Reading the second updates `position`.
    """
    if part.path.endswith(formats.PARQUET):
        return bytes, _rows(part, settings, position)
    if formats.is_json(part.path):
        convert = functools.partial(_json_bytes, field=settings.field)
        return convert, _part_lines(part, settings.max_document_bytes, position)
    if settings.unit == "line":
        return bytes, _part_lines(part, settings.max_document_bytes, position)
    return bytes, _whole_file(part, settings)


def _whole_file(part, settings):
    with formats.open_stream(part.path) as stream:
        content = stream.read(settings.max_document_bytes + 1)
    if len(content) > settings.max_document_bytes:
        raise DocumentTooLongError
    yield content


def _part_lines(part, limit, position):
    """Yields the lines of the part, without their ends."""
    if part.start:
        position.unit = "byte"
    with formats.open_stream(part.path) as stream:
        lines = _lines(stream, part, limit, position)
        yield from lines if part.parts == 1 else _every_nth(lines, part)


def _every_nth(lines, part):
    return itertools.islice(lines, part.part, None, part.parts)


def _lines(stream, part, limit, position):
    """Yields the lines that begin in the part; sets `position` to the number or byte of each."""
    offset = part.start
    if offset:
        stream.seek(offset - 1)
        offset -= 1
    end = sys.maxsize if part.end is None else part.end
    by_byte, number, rest = part.start > 0, 0, b""
    skip = by_byte  # The bytes before the first line end belong to the preceding part.
    while offset < end:
        # A small part is not worth a large chunk.
        chunk = stream.read(min(_CHUNK, max(_SMALLEST_CHUNK, end - offset)))
        lines = text_lines.split_lines(rest + chunk, keep_ends=True)
        # The last line may continue, and a line feed may follow its carriage return.
        continues = chunk and lines and not lines[-1].endswith(b"\n")
        rest = lines.pop() if continues else b""
        for line in lines:
            if offset >= end:
                return
            number += 1
            position.number = offset if by_byte else number
            offset += len(line)
            if skip:
                skip = False
            elif len(line := text_lines.without_end(line)) > limit:
                raise DocumentTooLongError
            else:
                yield line
        position.number = offset if by_byte else number + 1
        if len(text_lines.without_end(rest)) > limit:
            raise DocumentTooLongError
        if not chunk:
            return


def _json_bytes(line, field):
    return json_text(line, field).encode() if line.strip() else b""


def json_text(line: bytes | str, field: str) -> str:
    """Returns the text of one line of a .jsonl file.

    Raises:
        ValueError: the line is not a JSON object, or has no text under the key `field`.
    """
    record = json.loads(line.removeprefix("\ufeff") if isinstance(line, str) else line)
    if not isinstance(record, dict) or not isinstance(record.get(field), str):
        raise ValueError(f"no text under the key {field!r} (text_files.field, --field)")
    record[field].encode()  # Raises for a lone surrogate, which is not text.
    return record[field]


def _rows(part, settings, position):
    """Yields the texts of one column of a Parquet file; an empty cell is an empty document."""
    position.unit = "row"
    with _open_parquet(part.path) as table:
        _check_column(table.schema_arrow, settings.field)
        number = 0
        batches = table.iter_batches(_ROWS_AT_ONCE, columns=[settings.field], use_threads=False)
        for batch in batches:
            for cell in _as_bytes(batch.column(0)):
                position.number = number + 1
                if number % part.parts == part.part:
                    content = cell.as_py() or b""
                    if len(content) > settings.max_document_bytes:
                        raise DocumentTooLongError
                    yield content
                number += 1


def _open_parquet(path):
    import pyarrow.parquet

    source = tf.io.gfile.GFile(path, "rb") if user_paths.is_remote(path) else path
    return pyarrow.parquet.ParquetFile(source)


def _check_column(schema, field):
    import pyarrow.types

    column_type = schema.field(field).type if field in schema.names else None
    predicates = ("is_string", "is_large_string", "is_binary", "is_large_binary")
    if column_type is None or not any(getattr(pyarrow.types, p)(column_type) for p in predicates):
        problem = "no column" if column_type is None else f"{column_type} in the column"
        raise ValueError(
            f"{problem} {field!r} (text_files.field); expected one of text; columns are "
            + ", ".join(schema.names)
        )


def _as_bytes(column):
    """The column's texts as bytes; Arrow would decode them without checking that they are UTF-8."""
    import pyarrow

    large = pyarrow.types.is_large_string(column.type) or pyarrow.types.is_large_binary(column.type)
    return column.cast(pyarrow.large_binary() if large else pyarrow.binary())
