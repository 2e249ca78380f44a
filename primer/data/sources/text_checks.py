"""Are the user's text files what their names promise? Asked before the long work starts."""

import codecs

from primer.common import tf_data
from primer.data.sources import availability, formats, readers, text_files
from primer.errors import UsageError

_CHECKED_BYTES = 1 << 28
_CHUNK = 1 << 20
_NAMED = 3


def check_text_files(split: str) -> str | None:
    """Raises UsageError for a file that is not what its suffix promises, and for an empty split.

    Files are read up to a quarter of a gigabyte in all; of those beyond it, the first mebibyte
    each.

    Returns:
        What was left out, for the reader to know; None for nothing.
    """
    settings = text_files.TextFiles().checked()
    budget = _CHECKED_BYTES
    notes = readers.SkipCounts()
    empty = []
    for path in settings.paths():
        size = _check_file(path, settings, notes, max(budget, _CHUNK))
        budget -= size
        if not size and path not in notes.not_utf8:
            empty.append(path)
    remarks = [f"left out {describe_skipped(notes.not_utf8)}"] if notes.not_utf8 else []
    if empty:
        remarks.append(f"{len(empty):,} of the files have no text: {_names(empty)}")
    first = tf_data.elements(lambda: text_files.split_dataset(split, False, None).take(1))
    if not any(True for _ in first):
        raise UsageError(
            f"no document of text_files.glob {settings.glob!r} is in the split {split!r} "
            f"({'; '.join([*remarks, f'text_files.held_out is {settings.held_out}'])}); give more "
            "documents, count each line as one with text_files.unit = 'line', or hold out another "
            "share"
        )
    return "; ".join(remarks) or None


def describe_availability() -> availability.Availability:
    """Where the files are that text_files.glob names; opens none."""
    settings = text_files.TextFiles()
    patterns = [settings.glob] if isinstance(settings.glob, str) else list(settings.glob or [])
    place = ", ".join(patterns) or "text_files.glob: not set"
    if any(map(availability.is_remote, patterns)):
        return availability.Availability("not looked at", place)
    way_out = "--gin_param=\"text_files.glob = '/data/*.txt'\""
    try:
        found = settings.checked().paths()
    except UsageError:  # Not set, or no such file.
        found = []
    return availability.of_files(found, place, way_out)


def describe_skipped(counts: dict[str, int]) -> str:
    """How many documents of which files are not UTF-8.

    Args:
        counts: file -> documents.
    """
    files = [f"{path} ({counts[path]:,})" for path in sorted(counts)]
    return f"{sum(counts.values()):,} documents that are not UTF-8: {_names(files)}"


def _names(files):
    """The first names, and how many more there are."""
    more = f" and {len(files) - _NAMED:,} more files" if files[_NAMED:] else ""
    return ", ".join(files[:_NAMED]) + more


def _check_file(path, settings, notes, limit) -> int:
    """Reads up to about `limit` bytes of a file's text and returns their number."""
    if limit <= _CHUNK and path.endswith(".txt") and settings.unit == "file":
        return _check_start(path, settings)
    read = 0
    for document in readers.read_documents(readers.FilePart(path), settings, notes):
        read += len(document)
        if read >= limit:
            break
    return read


def _check_start(path, settings):
    """The first mebibyte of a file that is one document."""
    try:
        with formats.open_stream(path) as stream:
            start = stream.read(_CHUNK)
        codecs.getincrementaldecoder("utf-8")("strict").decode(start)
    except UnicodeDecodeError as error:
        if settings.on_bad_utf8 != "skip":
            raise readers.not_utf8_error(path, "line 1", error) from error
    except readers.READ_ERRORS as error:
        raise readers.unreadable_error(path, "line 1", error) from error
    return len(start)
