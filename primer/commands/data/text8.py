"""`primer data text8`: makes text8, or as much of it as wanted, from a Wikipedia in XML."""

import contextlib
import os

from primer.errors import RunError, UsageError

_CHUNK = 1 << 20


def add_arguments(parser):
    """Adds the arguments of the command to its parser."""
    parser.add_argument(
        "--input", required=True, help="enwik9, enwik8, or any export of MediaWiki (.xml)"
    )
    parser.add_argument("--output", required=True, help="the file to write")
    parser.add_argument(
        "--characters",
        type=int,
        help="write so many characters (default: text8's 100,000,000; enwik8 gives fewer)",
    )
    parser.add_argument("--all", action="store_true", help="write all that the input gives")


def run(options) -> int:
    """Filters the input; the output appears when it is complete."""
    from primer.data.sources import wikipedia_text8

    if options.all and options.characters is not None:
        raise UsageError("--all and --characters: give one or the other")
    wanted = None if options.all else options.characters or wikipedia_text8.CHARACTERS
    if wanted is not None and (wanted <= 0 or options.characters == 0):
        raise UsageError(f"--characters = {options.characters}: expected a positive number")
    if not os.path.isfile(options.input):
        raise UsageError(
            f"--input {options.input}: there is no such file; enwik9 comes from "
            "http://mattmahoney.net/dc/enwik9.zip"
        )
    if os.path.exists(options.output):
        raise UsageError(f"--output {options.output} is there already; name another or remove it")
    with _completed(options.output) as partial:
        written = _filter(options.input, partial, wanted)
        if not written or (wanted and written < wanted):
            raise RunError(
                f"{options.input} gives {written:,} characters of plain text; "
                f"expected {wanted or 1:,}: {_way_out(written)}"
            )
    print(f"{options.output}: {written:,} characters")
    return 0


def _way_out(written):
    if not written:
        return "it is no export of MediaWiki, with articles in <text ...> ... </text>"
    return "give enwik9 for text8 itself, a smaller --characters, or --all"


def _filter(source, target, wanted) -> int:
    """Writes the first `wanted` characters, or all, and returns how many there were."""
    from primer.data.sources import wikipedia_text8

    written = 0
    with open(source, "rb") as read, open(target, "wb") as out:
        for piece in wikipedia_text8.plain_text(iter(lambda: read.read(_CHUNK), b"")):
            piece = piece[: wanted - written] if wanted else piece
            written += out.write(piece)
            if wanted and written == wanted:
                break
    return written


@contextlib.contextmanager
def _completed(path):
    """A path to write to, which gets its name at the end; nothing is left of a failure."""
    from primer.common import files

    try:
        with files.written_whole(path) as unfinished:
            yield unfinished
    except files.ERRORS as error:
        raise RunError(f"{path} cannot be written: {files.first_line(error)}") from error
