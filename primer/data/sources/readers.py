"""The documents of one file, or of a part of it, read in Python: one reader for every format.

TensorFlow reads .txt, .jsonl and .gz faster, and `text_files` lets it; what both give is the
same, byte for byte. Everything else goes through here: the other formats, the checks before a run,
`primer data prepare` and `primer data inspect`.
"""

import collections
import dataclasses
import functools
import itertools
import json
import sys
import zlib
from collections.abc import Iterator

import tensorflow as tf

from primer.common import files
from primer.data.sources import formats
from primer.errors import UsageError

_BYTE_ORDER_MARK = "\ufeff".encode()
_ROWS_AT_ONCE = 256
_CHUNK = 1 << 20

# What reading a damaged file may raise; Arrow's errors are OSErrors and ValueErrors.
READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, tf.errors.OpError)


@dataclasses.dataclass(frozen=True)
class FilePart:
    """A file, or what one of several readers reads of it.

    Attributes:
        path: the file.
        start, end: of a file that can be sought in, the bytes whose lines are read: those that
            begin at `start` or later and before `end` (None: the end of the file).
        part, parts: of any other, every `parts`-th line or row, beginning with number `part`.
    """

    path: str
    start: int = 0
    end: int | None = None
    part: int = 0
    parts: int = 1


@dataclasses.dataclass
class SkipCounts:
    """What was met on the way: documents left out, by the reason.

    Attributes:
        not_utf8: file -> its documents that are not UTF-8 (text_files.on_bad_utf8 = "skip").
        empty: documents of nothing but white space.
    """

    not_utf8: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    empty: int = 0


class _Place:
    """Where in a file the reader is, in the words of an error."""

    def __init__(self, unit, number):
        self.unit = unit
        self.number = number

    def __str__(self):
        return f"{self.unit} {self.number:,}"


class DocumentTooLongError(ValueError):
    """A document longer than text_files.max_document_bytes."""


def read_documents(piece: FilePart, settings, notes: SkipCounts | None = None) -> Iterator[bytes]:
    """The documents of a piece in their order: UTF-8, lines ending in a line feed, none empty.

    Args:
        piece: what to read.
        settings: a `primer.data.sources.text_files.TextFiles`.
        notes: counts what is left out.

    Raises:
        UsageError: the file is damaged, is not what its suffix promises, is not UTF-8, or has a
            document longer than the settings allow.
    """
    for _, text in read_numbered_documents(piece, settings, notes):
        yield text


def read_numbered_documents(
    piece: FilePart, settings, notes: SkipCounts | None = None
) -> Iterator[tuple[int, bytes]]:
    """The same with the number of each document's line or row in the file, from 1.

    What is left out keeps its number. Numbers are those of a piece that begins where its file does.
    """
    notes = SkipCounts() if notes is None else notes
    place = _Place("line", 1)
    convert, raw = _contents(piece, settings, place)
    normalize = text_normalizer(settings.normalize)
    try:
        for content in raw:
            try:
                text = normalize(clean_utf8(convert(content)))
            except UnicodeDecodeError as error:
                if settings.on_bad_utf8 != "skip":
                    raise not_utf8_error(piece.path, place, error) from error
                notes.not_utf8[piece.path] += 1
                continue
            if text and not text.isspace():
                yield place.number, text
            else:
                notes.empty += 1
    except DocumentTooLongError as error:
        raise _too_long(piece.path, place, settings) from error
    except READ_ERRORS as error:
        raise unreadable_error(piece.path, place, error) from error


def clean_utf8(content: bytes) -> bytes:
    """Strict UTF-8 without a byte order mark, lines ending in a line feed."""
    if not content.isascii():
        content.decode("utf-8")
        content = content.removeprefix(_BYTE_ORDER_MARK)
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content


@functools.cache
def text_normalizer(name: str | None):
    """The function bytes -> bytes of text_files.normalize."""
    if name is None:
        return lambda content: content
    import ftfy

    def normalize(content):
        return ftfy.fix_text(content.decode("utf-8"), normalization="NFKC").encode()

    return normalize


def not_utf8_error(path: str, place, error: UnicodeDecodeError) -> UsageError:
    """The error for bytes that are no UTF-8; of a whole file it counts the lines up to them."""
    byte = error.object[error.start]
    if str(place) == "line 1":
        lines = error.object[: error.start].count(b"\n")
        place = f"line {1 + lines:,}"
    return UsageError(
        f"{path} is not UTF-8 ({place}: byte 0x{byte:02x}); convert it, as with "
        "iconv -f LATIN1 -t UTF-8, leave it out of text_files.glob, or leave such documents out "
        "with text_files.on_bad_utf8 = 'skip'"
    )


def _too_long(path, place, settings):
    way_out = "divide it"
    if settings.unit == "file" and path.endswith(".txt"):
        way_out += ", count each line as a document with text_files.unit = 'line'"
    return UsageError(
        f"{path} has a document of more than {settings.max_document_bytes:,} bytes ({place}); "
        f"{way_out}, or set text_files.max_document_bytes to more"
    )


def unreadable_error(path: str, place, error: Exception) -> UsageError:
    """The error for a file that is damaged or not what its suffix promises."""
    return UsageError(
        f"{path} cannot be read ({place}): {files.first_line(error)}; mend it or leave it out of "
        "text_files.glob"
    )


def _contents(piece, settings, place):
    """What makes a document of what is read, and all that is read; `place` follows it."""
    if piece.path.endswith(formats.PARQUET):
        return bytes, _rows(piece, settings, place)
    if formats.is_json(piece.path):
        convert = functools.partial(_json_bytes, field=settings.field)
        return convert, _own_lines(piece, settings.max_document_bytes, place)
    if settings.unit == "line":
        return _without_returns, _own_lines(piece, settings.max_document_bytes, place)
    return bytes, _whole(piece, settings)


def _without_returns(line):
    """A line as TensorFlow reads lines."""
    return line.replace(b"\r", b"")


def _whole(piece, settings):
    with formats.open_stream(piece.path) as stream:
        content = stream.read(settings.max_document_bytes + 1)
    if len(content) > settings.max_document_bytes:
        raise DocumentTooLongError
    yield content


def _own_lines(piece, limit, place):
    """Yields the lines of the piece, without their ends."""
    if piece.start:
        place.unit = "byte"
    with formats.open_stream(piece.path) as stream:
        numbered = _lines(stream, piece, limit, place)
        yield from numbered if piece.parts == 1 else _every(numbered, piece)


def _every(lines, piece):
    return itertools.islice(lines, piece.part, None, piece.parts)


def _lines(stream, piece, limit, place):
    """Yields the lines that begin within the piece; `place` is the number or byte of each."""
    position = piece.start
    if position:
        stream.seek(position - 1)
        position -= 1
    end = sys.maxsize if piece.end is None else piece.end
    by_byte, number, rest = piece.start > 0, 0, b""
    skip = by_byte  # What comes before the first line end belongs to the piece before.
    while position < end:
        chunk = stream.read(_CHUNK)
        lines = (rest + chunk).split(b"\n")
        # What the file ends in is a line, unless nothing follows the last line end.
        rest = lines.pop() if chunk or not lines[-1] else b""
        for line in lines:
            if position >= end:
                return
            number += 1
            place.number = position if by_byte else number
            position += len(line) + 1
            if skip:
                skip = False
            elif len(line) > limit:
                raise DocumentTooLongError
            else:
                yield line
        place.number = position if by_byte else number + 1
        if len(rest) > limit:
            raise DocumentTooLongError
        if not chunk:
            return


def _json_bytes(line, field):
    return json_text(line, field).encode() if line.strip() else b""


def json_text(line: bytes | str, field: str) -> str:
    """The text of one line of a .jsonl file; raises ValueError where there is none."""
    record = json.loads(line.removeprefix("\ufeff") if isinstance(line, str) else line)
    if not isinstance(record, dict) or not isinstance(record.get(field), str):
        raise ValueError(f"no text under the key {field!r} (text_files.field, --field)")
    record[field].encode()  # A lone half of a surrogate pair is no text; that raises as well.
    return record[field]


def _rows(piece, settings, place):
    """The texts of one column of a Parquet file; an empty cell is an empty document."""
    place.unit = "row"
    with _open_parquet(piece.path) as table:
        _check_column(table.schema_arrow, settings.field)
        number = 0
        batches = table.iter_batches(_ROWS_AT_ONCE, columns=[settings.field], use_threads=False)
        for batch in batches:
            for cell in _as_bytes(batch.column(0)):
                place.number = number + 1
                if number % piece.parts == piece.part:
                    content = cell.as_py() or b""
                    if len(content) > settings.max_document_bytes:
                        raise DocumentTooLongError
                    yield content
                number += 1


def _open_parquet(path):
    import pyarrow.parquet

    source = tf.io.gfile.GFile(path, "rb") if "://" in path else path
    return pyarrow.parquet.ParquetFile(source)


def _check_column(schema, field):
    import pyarrow.types

    found = schema.field(field).type if field in schema.names else None
    known = ("is_string", "is_large_string", "is_binary", "is_large_binary")
    if found is None or not any(getattr(pyarrow.types, name)(found) for name in known):
        what = "no column" if found is None else f"{found} in the column"
        raise ValueError(
            f"{what} {field!r} (text_files.field); expected one of text; columns are "
            + ", ".join(schema.names)
        )


def _as_bytes(column):
    """Text as its bytes: Arrow does not look whether they are UTF-8, and decodes them as such."""
    import pyarrow

    large = pyarrow.types.is_large_string(column.type) or pyarrow.types.is_large_binary(column.type)
    return column.cast(pyarrow.large_binary() if large else pyarrow.binary())
