"""Checks the files of the task `text` before a run: format, UTF-8, and a non-empty split."""

import codecs

from primer.common import tf_data, user_paths
from primer.data.sources import availability, formats, readers, text_files
from primer.errors import UsageError

_CHECKED_BYTES = 1 << 28
_CHUNK = 1 << 20
_LISTED_FILES = 3


def check_text_files(split: str) -> str | None:
    """Checks that every file has the format of its suffix and that the split has a document.

    Files are read up to a quarter of a gigabyte in all; of each file beyond that, only the first
    mebibyte.

    Returns:
        A remark on the documents and files that are left out, or None.

    Raises:
        UsageError: a file cannot be read, or the split is empty.
    """
    settings = text_files.TextFiles().checked()
    budget = _CHECKED_BYTES
    skipped = readers.SkipCounts()
    empty = []
    for path in settings.paths():
        size = _check_file(path, settings, skipped, max(budget, _CHUNK))
        budget -= size
        if not size and path not in skipped.not_utf8:
            empty.append(path)
    remarks = [f"left out {describe_skipped(skipped.not_utf8)}"] if skipped.not_utf8 else []
    if empty:
        remarks.append(f"{len(empty):,} of the files have no text: {_first_names(empty)}")
    first = tf_data.elements(lambda: text_files.split_dataset(split).take(1))
    if not any(True for _ in first):
        raise UsageError(
            f"no document of text_files.glob {settings.glob!r} is in the split {split!r} "
            f"({'; '.join([*remarks, f'text_files.held_out is {settings.held_out}'])}); add "
            "documents, count each line as a document with text_files.unit = 'line', or change "
            "text_files.held_out"
        )
    return "; ".join(remarks) or None


def describe_availability() -> availability.Availability:
    """Describes the files that text_files.glob matches, without opening one."""
    settings = text_files.TextFiles()
    patterns = [settings.glob] if isinstance(settings.glob, str) else list(settings.glob or [])
    place = ", ".join(patterns) or "text_files.glob: not set"
    if any(map(user_paths.is_remote, patterns)):
        return availability.Availability("not looked at", place)
    hint = "--gin_param=\"text_files.glob = '/data/*.txt'\""
    try:
        paths = settings.checked().paths()
    except UsageError:  # The glob is not set or matches no file.
        paths = []
    return availability.of_files(paths, place, hint)


def describe_skipped(counts: dict[str, int]) -> str:
    """Returns how many documents of which files are not UTF-8.

    Args:
        counts: file -> number of documents.
    """
    files = [f"{path} ({counts[path]:,})" for path in sorted(counts)]
    return f"{sum(counts.values()):,} documents that are not UTF-8: {_first_names(files)}"


def _first_names(files):
    """The first names, and how many more there are."""
    more = f" and {len(files) - _LISTED_FILES:,} more files" if files[_LISTED_FILES:] else ""
    return ", ".join(files[:_LISTED_FILES]) + more


def _check_file(path, settings, skipped, limit) -> int:
    """Reads up to about `limit` bytes of a file's text and returns their number."""
    if limit <= _CHUNK and path.endswith(".txt") and settings.unit == "file":
        return _check_start(path, settings)
    size = 0
    for document in readers.read_documents(readers.FilePart(path), settings, skipped):
        size += len(document)
        if size >= limit:
            break
    return size


def _check_start(path, settings) -> int:
    """Checks the first mebibyte of a file that is one document; returns the bytes read."""
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
