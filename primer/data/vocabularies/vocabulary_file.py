"""Reads and writes vocabularies as text: one entry per line with its count, line number = id.

    <pad>   0
    <eos>   4358
    <unk>   13265
    the     113161

Ids 0, 1 and 2 are padding, end and unknown, as in T5's vocabulary; the first three lines hold them.
Files of other programs, without these lines or without counts, can be read as well: their entries
get the ids from 3 on in file order, and `<eos>`, `<unk>` and `<pad>` keep 1, 2 and 0 wherever they
stand.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import tensorflow as tf

from primer.common import files, text_lines
from primer.errors import UsageError

PAD, EOS, UNK = "<pad>", "<eos>", "<unk>"
SPECIAL = (PAD, EOS, UNK)


def most_frequent(counts: Counter[str], min_count: int = 1, size: int | None = None) -> list[str]:
    """Returns the entries by descending count; equal counts keep the order of `counts`.

    Args:
        counts: entry -> count; the entries of SPECIAL are left out.
        min_count: minimum count of an entry.
        size: maximum number of ids, including the three special ones; None for no limit.
    """
    # most_common sorts stably.
    entries = [
        entry
        for entry, count in counts.most_common()
        if count >= min_count and entry not in SPECIAL
    ]
    return entries if size is None else entries[: max(size - len(SPECIAL), 0)]


def format_vocabulary(
    entries: Sequence[str], counts: Counter[str], spell: Callable[[str], str] = str
) -> bytes:
    """Returns the content of a vocabulary file.

    Args:
        entries: the entries with ids from 3 on.
        counts: the counts of the entries, and of SPECIAL if they occur.
        spell: entry -> its text in the file, without white space.
    """
    special = [f"{entry}\t{counts[entry]}\n" for entry in SPECIAL]
    lines = [f"{spell(entry)}\t{counts[entry]}\n" for entry in entries]
    return "".join(special + lines).encode()


def parse_vocabulary(content: bytes, path: str, unspell: Callable[[str], str] = str) -> list[str]:
    """Returns the entries of a file that have ids from 3 on.

    Args:
        content: the content of the file.
        path: its path, for errors.
        unspell: text in the file -> entry; raises ValueError for invalid text.

    Raises:
        UsageError: the file is not a vocabulary file; the message names the line.
    """
    entries: dict[str, int] = {}  # Entry -> its line.
    for number, line in enumerate(text_lines.split_lines(content), start=1):
        try:
            spelling = _spelling(line)
            if spelling in SPECIAL or spelling is None:
                continue
            entry = unspell(spelling)
            if entry in entries:
                raise ValueError(f"{spelling!r} is in line {entries[entry]} already")
        except ValueError as error:
            raise UsageError(
                f"task_vocabulary.model_file is {path}, whose line {number} is not an entry "
                f"with a count ({files.first_line(error)}); expected a file that `primer data "
                "vocabulary` wrote with --model words or --model characters"
            ) from error
        entries[entry] = number
    if not entries:
        raise UsageError(f"task_vocabulary.model_file is {path}, which has no entry")
    return list(entries)


def _spelling(line):
    """The first field of a line, or None for an empty line; a second field must be a count."""
    fields = line.split()
    if len(fields) > 2 or (len(fields) == 2 and not fields[1].isdigit()):
        raise ValueError("expected an entry, or an entry and a count")
    return fields[0].decode() if fields else None


def read_content(path: str) -> bytes:
    """Returns the content of a file, local or in a bucket."""
    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read()
