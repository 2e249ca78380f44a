"""`primer data text8`: makes text8, or a part of it, from a Wikipedia XML dump."""

import argparse
import contextlib
import os
from collections.abc import Iterator

from primer.common import checks, user_paths
from primer.errors import RunError, UsageError

_CHUNK = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "--input",
        type=user_paths.expand,
        required=True,
        help="enwik9, enwik8, or any export of MediaWiki (.xml)",
    )
    parser.add_argument("--output", type=user_paths.expand, required=True, help="the file to write")
    parser.add_argument(
        "--characters",
        type=int,
        help="number of characters (default: text8's 100,000,000; enwik8 gives fewer)",
    )
    parser.add_argument(
        "--all", action="store_true", help="write all characters that the input gives"
    )


def run(options: argparse.Namespace) -> int:
    """Filters the input and writes the output whole or not at all; returns the exit code."""
    from primer.data.sources import wikipedia_text8

    if options.all and options.characters is not None:
        raise UsageError("--all and --characters: give one or the other")
    limit = None if options.all else options.characters or wikipedia_text8.CHARACTERS
    if limit is not None and (limit <= 0 or options.characters == 0):
        raise UsageError(f"--characters = {options.characters}: expected a positive number")
    if not os.path.isfile(options.input):
        raise UsageError(
            f"--input {options.input}: there is no such file; get enwik9 from "
            "http://mattmahoney.net/dc/enwik9.zip"
        )
    checks.output_file(options.output, "--output", inputs=[options.input])
    with _written_whole(options.output) as unfinished:
        written = _filter(options.input, unfinished, limit)
        if not written or (limit and written < limit):
            raise RunError(
                f"{options.input} gives {written:,} characters of plain text; "
                f"expected {limit or 1:,}: {_hint(written)}"
            )
    print(f"{options.output}: {written:,} characters")
    return 0


def _hint(written):
    if not written:
        return "it is not an export of MediaWiki, with articles in <text ...> ... </text>"
    return "give enwik9 for text8 itself, a smaller --characters, or --all"


def _filter(source, target, limit) -> int:
    """Writes the first `limit` characters, or all if None; returns their number."""
    from primer.data.sources import wikipedia_text8

    written = 0
    with open(source, "rb") as dump, open(target, "wb") as out:
        for piece in wikipedia_text8.plain_text(iter(lambda: dump.read(_CHUNK), b"")):
            piece = piece[: limit - written] if limit else piece
            written += out.write(piece)
            if limit and written == limit:
                break
    return written


@contextlib.contextmanager
def _written_whole(path: str) -> Iterator[str]:
    """A context that writes a file under another name and renames it, or removes it on an error."""
    from primer.common import files

    try:
        with files.written_whole(path) as unfinished:
            yield unfinished
    except files.ERRORS as error:
        # The message of an OSError would name the unfinished file.
        reason = getattr(error, "strerror", None) or files.first_line(error)
        raise RunError(f"{path} cannot be written: {reason}") from error
