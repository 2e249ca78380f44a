"""Are the user's text files what their names promise? Asked before the long work starts."""

import codecs
import gzip
import zlib
from collections.abc import Iterator

import tensorflow as tf

from primer.data import files, reading, text
from primer.data import whereabouts as looking
from primer.errors import UsageError

_CHECKED_BYTES = 1 << 28
_CHUNK = 1 << 20


def check(split: str) -> None:
    """Raises UsageError for a file that is not what its suffix promises, and for an empty split.

    Whole files are read, up to a quarter of a gigabyte in all; of those beyond it, the first
    mebibyte each.
    """
    settings = text.TextFiles().checked()
    budget = _CHECKED_BYTES
    for path in settings.paths():
        field = settings.field if text.is_json_file(path) else None
        budget -= _check_file(path, field, max(budget, _CHUNK))
    first = reading.elements(lambda: text.split_dataset(split, False, None).take(1))
    if not any(True for _ in first):
        raise UsageError(
            f"no document of text_files.glob {settings.glob!r} is in the split {split!r} "
            f"(text_files.held_out is {settings.held_out}); give more documents, count each line "
            "as one with text_files.unit = 'line', or hold out another share"
        )


def whereabouts() -> looking.Whereabouts:
    """Where the files are that text_files.glob names; opens none."""
    settings = text.TextFiles()
    patterns = [settings.glob] if isinstance(settings.glob, str) else list(settings.glob or [])
    place = ", ".join(patterns) or "text_files.glob: not set"
    if any(map(looking.is_remote, patterns)):
        return looking.Whereabouts("not looked at", place)
    way_out = "--gin_param=\"text_files.glob = '/data/*.txt'\""
    try:
        found = settings.checked().paths()
    except UsageError:  # Not set, or no such file.
        found = []
    return looking.of_files(found, place, way_out)


def _check_file(path: str, field: str | None, limit: int) -> int:
    """Reads up to `limit` bytes of a file's text and returns their number."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    read, line, rest = 0, 1, ""
    try:
        for chunk in _chunks(path):
            lines = (rest + decoder.decode(chunk)).split("\n")
            rest = lines.pop()
            for content in lines:
                if field and content.strip():
                    text.json_text(content, field)
                line += 1
            read += len(chunk)
            if read >= limit:
                return read
        rest += decoder.decode(b"", final=True)
        if field and rest.strip():
            text.json_text(rest, field)
    except UnicodeDecodeError as error:
        line += rest.count("\n") + error.object[: error.start].count(b"\n")
        raise UsageError(
            f"{path} is not UTF-8 (line {line}: byte 0x{error.object[error.start]:02x}); convert "
            "it, as with iconv -f LATIN1 -t UTF-8, or leave it out of text_files.glob"
        ) from error
    except (OSError, EOFError, ValueError, zlib.error, tf.errors.OpError) as error:
        raise UsageError(
            f"{path} cannot be read (line {line}): {files.first_line(error)}; mend it or leave it "
            "out of text_files.glob"
        ) from error
    return read


def _chunks(path: str) -> Iterator[bytes]:
    with tf.io.gfile.GFile(path, "rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if path.endswith(".gz") else raw
        while chunk := stream.read(_CHUNK):
            yield chunk
