"""The documents of one file, or of a part of it, read in Python: one reader for every format.

TensorFlow reads .txt, .jsonl and .gz faster, and `primer.data.text` lets it; what both give is the
same, byte for byte. Everything else goes through here: the other formats, the checks before a run,
`primer data prepare` and `primer data inspect`.
"""

import collections
import dataclasses
import functools
import json
import zlib
from collections.abc import Iterator

import tensorflow as tf

from primer.data import files, formats
from primer.errors import UsageError

_BYTE_ORDER_MARK = "\ufeff".encode()
_ROWS_AT_ONCE = 256

# What reading a damaged file may raise; Arrow's errors are OSErrors and ValueErrors.
READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, tf.errors.OpError)


@dataclasses.dataclass(frozen=True)
class Piece:
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
class Notes:
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


class TooLong(ValueError):
    """A document longer than text_files.max_document_bytes."""


def read(piece: Piece, settings, notes: Notes | None = None) -> Iterator[bytes]:
    """The documents of a piece in their order: UTF-8, lines ending in a line feed, none empty.

    Args:
        piece: what to read.
        settings: a `primer.data.text.TextFiles`.
        notes: counts what is left out.

    Raises:
        UsageError: the file is damaged, is not what its suffix promises, is not UTF-8, or has a
            document longer than the settings allow.
    """
    for _, text in numbered(piece, settings, notes):
        yield text


def numbered(piece: Piece, settings, notes: Notes | None = None) -> Iterator[tuple[int, bytes]]:
    """The same with the number of each document's line or row in the file, from 1.

    What is left out keeps its number. Numbers are those of a piece that begins where its file does.
    """
    notes = Notes() if notes is None else notes
    place = _Place("line", 1)
    normalize = normalizer(settings.normalize)
    try:
        for make in _contents(piece, settings, place):
            try:
                text = normalize(clean(make()))
            except UnicodeDecodeError as error:
                if settings.on_bad_utf8 != "skip":
                    raise not_utf8(piece.path, place, error) from error
                notes.not_utf8[piece.path] += 1
                continue
            if text.strip():
                yield place.number, text
            else:
                notes.empty += 1
    except TooLong as error:
        raise UsageError(
            f"{piece.path} has a document of more than {settings.max_document_bytes:,} bytes "
            f"({place}); divide it (text_files.unit = 'line' makes each line of a .txt file a "
            "document), or set text_files.max_document_bytes to more"
        ) from error
    except READ_ERRORS as error:
        raise cannot_be_read(piece.path, place, error) from error


def clean(content: bytes) -> bytes:
    """Strict UTF-8 without a byte order mark, lines ending in a line feed."""
    if not content.isascii():
        content.decode("utf-8")
        content = content.removeprefix(_BYTE_ORDER_MARK)
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content


@functools.cache
def normalizer(name: str | None):
    """The function bytes -> bytes of text_files.normalize."""
    if name is None:
        return lambda content: content
    import ftfy

    def normalize(content):
        return ftfy.fix_text(content.decode("utf-8"), normalization="NFKC").encode()

    return normalize


def not_utf8(path: str, place, error: UnicodeDecodeError) -> UsageError:
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


def cannot_be_read(path: str, place, error: Exception) -> UsageError:
    """The error for a file that is damaged or not what its suffix promises."""
    return UsageError(
        f"{path} cannot be read ({place}): {files.first_line(error)}; mend it or leave it out of "
        "text_files.glob"
    )


def _contents(piece, settings, place):
    """Yields functions that give the bytes of one document each; `place` follows them."""
    if piece.path.endswith(formats.PARQUET):
        yield from _rows(piece, settings, place)
    elif settings.unit == "line" or formats.is_json(piece.path):
        yield from _lines(piece, settings, place)
    else:
        yield from _whole(piece, settings)


def _whole(piece, settings):
    with formats.open_stream(piece.path) as stream:
        content = stream.read(settings.max_document_bytes + 1)
    if len(content) > settings.max_document_bytes:
        raise TooLong
    yield lambda: content


def _lines(piece, settings, place):
    is_json = formats.is_json(piece.path)
    for number, line in _own_lines(piece, settings.max_document_bytes, place):
        if number % piece.parts != piece.part:
            continue
        if is_json and line.strip():
            yield functools.partial(_json_bytes, line, settings.field)
        else:
            yield functools.partial(line.replace, b"\r", b"")  # As TensorFlow reads lines.


def _own_lines(piece, limit, place):
    """Yields (number, line without its end) of the lines that begin within the piece."""
    with formats.open_stream(piece.path) as stream:
        position = piece.start
        if piece.start:
            place.unit, place.number = "byte", position
            stream.seek(piece.start - 1)
            position += len(_line(stream, limit)) - 1
        number = 0
        while piece.end is None or position < piece.end:
            place.number = position if piece.start else number + 1
            line = _line(stream, limit)
            if not line:
                return
            yield number, line.removesuffix(b"\n")
            position += len(line)
            number += 1


def _line(stream, limit):
    line = stream.readline(limit + 1)
    if len(line) > limit and not line.endswith(b"\n"):
        raise TooLong
    return line


def _json_bytes(line, field):
    return json_text(line, field).encode()


def json_text(line: bytes | str, field: str) -> str:
    """The text of one line of a .jsonl file; raises ValueError where there is none."""
    record = json.loads(line.removeprefix("\ufeff") if isinstance(line, str) else line)
    if not isinstance(record, dict) or not isinstance(record.get(field), str):
        raise ValueError(f"no text under the key {field!r} (text_files.field)")
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
                        raise TooLong
                    yield functools.partial(bytes, content)
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
