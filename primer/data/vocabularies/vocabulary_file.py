"""Vocabularies as text: a file of one entry per line with its count, the line's number its id.

    <pad>   0
    <eos>   4358
    <unk>   13265
    the     113161

Ids 0, 1 and 2 are padding, end and unknown, as in T5's vocabulary; the first three lines say so.
Files of others, which lack these lines or the counts, are read as well: their entries get the ids
from 3 on, in the order of the file, and `<eos>`, `<unk>` and `<pad>` keep 1, 2 and 0 wherever they
stand.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import tensorflow as tf

from primer.common import files
from primer.errors import UsageError

PAD, EOS, UNK = "<pad>", "<eos>", "<unk>"
SPECIAL = (PAD, EOS, UNK)


def most_frequent(counts: Counter, min_count: int = 1, size: int | None = None) -> list[str]:
    """The entries by falling count, those of equal count in the order in which they were met.

    Args:
        counts: entry -> how often it occurs; those of SPECIAL are left out.
        min_count: the least count of an entry.
        size: the most ids that the vocabulary has, the three special ones among them.
    """
    # most_common sorts, and sorting keeps the order of equals.
    entries = [
        entry
        for entry, count in counts.most_common()
        if count >= min_count and entry not in SPECIAL
    ]
    return entries if size is None else entries[: max(size - len(SPECIAL), 0)]


def format_vocabulary(
    entries: Sequence[str], counts: Counter, spell: Callable[[str], str] = str
) -> bytes:
    """The content of a file.

    Args:
        entries: what has the ids from 3 on.
        counts: of the entries, and of SPECIAL where they occur.
        spell: how an entry is written; without white space.
    """
    special = [f"{entry}\t{counts[entry]}\n" for entry in SPECIAL]
    lines = [f"{spell(entry)}\t{counts[entry]}\n" for entry in entries]
    return "".join(special + lines).encode()


def parse_vocabulary(content: bytes, path: str, unspell: Callable[[str], str] = str) -> list[str]:
    """The entries of a file that have the ids from 3 on.

    Args:
        content: of the file.
        path: its name, for errors.
        unspell: the entry of its spelling; raises ValueError where it is none.

    Raises:
        UsageError: it is no such file; the message names the line.
    """
    entries = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            spelling = _spelling(line)
            if spelling in SPECIAL or spelling is None:
                continue
            entry = unspell(spelling)
            if entry in entries:
                raise ValueError(f"{spelling!r} is in line {entries[entry]} already")
        except ValueError as error:
            raise UsageError(
                f"task_vocabulary.model_file is {path}, and its line {number} is no entry with a "
                f"count ({files.first_line(error)}); expected a file as `primer data vocabulary` "
                "writes it with --model words or --model characters"
            ) from error
        entries[entry] = number
    if not entries:
        raise UsageError(f"task_vocabulary.model_file is {path}, which has no entry")
    return list(entries)


def _spelling(line):
    """The first field of a line, None of an empty one; the second, if there is one, is a count."""
    fields = line.split()
    if len(fields) > 2 or (len(fields) == 2 and not fields[1].isdigit()):
        raise ValueError("expected an entry, or an entry and a count")
    return fields[0].decode() if fields else None


def read_content(path: str) -> bytes:
    """The content of a file, here or in a bucket."""
    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read()
