"""Statistics of texts (sizes, words, tokens, duplicates, lengths) and their first training rows.

One pass over the documents. Memory grows by about a hundred bytes a document (its digest, to find
duplicates) and does not depend on the documents' lengths.
"""

import collections
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import seqio

from primer.common import tf_data
from primer.data import preflight
from primer.data.objectives import masked_rows, token_masking
from primer.data.prepared import shard
from primer.data.prepared.counts import Counts
from primer.data.sources import corrupt_records, readers
from primer.data.vocabularies.round_trip import Changes, RoundTrip
from primer.errors import UsageError

_BINS_PER_DOUBLING = 2


@dataclasses.dataclass
class SplitStatistics:
    """The statistics of a split.

    Attributes:
        counts: documents, bytes, characters, words and tokens in all.
        duplicates: documents whose text, without the white space around it, has occurred before.
        duplicate_bytes: their bytes.
        lengths: tokens of a document -> number of documents of this length.
        notes: documents left out.
        changes: what the vocabulary does not give back.
    """

    counts: Counts
    duplicates: int = 0
    duplicate_bytes: int = 0
    lengths: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    notes: readers.SkipCounts = dataclasses.field(default_factory=readers.SkipCounts)
    changes: Changes = Changes()

    def quantile(self, share: float) -> int:
        """Returns the smallest length that is not exceeded by this share of the documents."""
        if not self.lengths:
            return 0
        sizes, numbers = zip(*sorted(self.lengths.items()), strict=True)
        totals = np.cumsum(numbers)
        return sizes[int(np.searchsorted(totals, max(1, share * totals[-1])))]

    def histogram(self) -> list[tuple[float, float, int]]:
        """Returns bins (first length, end, documents): one of no token, then two per doubling."""
        longest = max(self.lengths, default=0)
        steps = np.arange(_BINS_PER_DOUBLING * max(1, longest).bit_length() + 1)
        edges = np.concatenate([[0], 2.0 ** (steps / _BINS_PER_DOUBLING)])
        sizes, numbers = list(self.lengths), list(self.lengths.values())
        documents = np.histogram(sizes, edges, weights=numbers)[0].astype(int)
        return list(zip(edges[:-1].tolist(), edges[1:].tolist(), documents.tolist(), strict=True))


def inspect_split(
    task_name: str,
    split: str,
    progress: Callable[[int, int], object] = lambda documents, size: None,
) -> SplitStatistics:
    """Reads a whole split and returns its statistics.

    Args:
        task_name: a task or mixture of texts.
        split: the split.
        progress: takes the documents read since the last call, and their bytes.

    Raises:
        UsageError: the split cannot be read.
        RunError: a record is damaged.
    """
    preflight.check_split(task_name, split)
    result = SplitStatistics(Counts())
    seen: set[bytes] = set()
    for task in seqio.get_subtasks(preflight.find_task(task_name)):
        if getattr(task.source, "marks_answers", False):
            raise UsageError(f"task {task.name} makes its examples: it has no texts to inspect")
        vocabulary = task.output_features["targets"].vocabulary
        tokenizer = tf_data.TextFunction(functools.partial(shard.tokenize, vocabulary))
        round_trip = RoundTrip(vocabulary)
        try:
            with corrupt_records.name_corrupt_file(task):
                for texts in _split_texts(task, split, result.notes):
                    ids, ends = tokenizer(texts)
                    _add(result, texts, ids, ends, seen)
                    result.changes += round_trip.add(texts, ids, ends)
                    progress(len(texts), sum(map(len, texts)))
        finally:
            tokenizer.close()
    return result


def _split_texts(task, split, notes) -> Iterator[list[bytes]]:
    texts_of_all_splits = shard.read_texts(task, 0, 1, notes, [split])
    return (texts for name, texts in shard.batch_texts(texts_of_all_splits) if name == split)


def _add(result, texts: list[bytes], ids, ends, seen) -> None:
    result.counts.add(texts, ids, ends)
    for text in texts:
        digest = hashlib.blake2b(text.strip(), digest_size=16).digest()
        if digest in seen:
            result.duplicates += 1
            result.duplicate_bytes += len(text)
        seen.add(digest)
    result.lengths.update(np.diff(ends).tolist())


def first_rows(
    task_name: str, split: str, length: int, number: int, seed: int = 0
) -> list[list[str]]:
    """Returns the first rows of the documents in order, as texts between special tokens.

    Training has rows like them, and shuffles documents and rows.

    Args:
        task_name: a task or mixture.
        split: the split.
        length: tokens of a row.
        number: the number of rows.
        seed: the seed of the objective.

    Returns:
        The `pieces` of each row.
    """
    task = preflight.find_task(task_name)
    vocabulary = task.output_features["targets"].vocabulary

    def dataset():
        rows = task.get_dataset({"inputs": 1, "targets": length}, split, shuffle=False, seed=seed)
        return rows.map(lambda example: example["targets"]).take(number)

    rows = list(tf_data.elements(dataset))
    if not masked_rows.is_chosen():
        return [pieces(vocabulary, ids.tolist()) for ids in rows]
    masking = token_masking.of_task(task)
    masked = (masking.mask(ids, seed, row) for row, ids in enumerate(rows))
    return [
        masked_pieces(vocabulary, ids, *parts, masking.mask_id)
        for ids, parts in zip(rows, masked, strict=True)
    ]


def pieces(vocabulary: seqio.Vocabulary, ids: list[int]) -> list[str]:
    """Returns the text of each run of ordinary tokens, and the names of special tokens between."""
    result: list[str] = []
    run: list[int] = []
    for number in [*ids, None]:
        name = None if number is None else special_name(vocabulary, number)
        if number is not None and name is None:
            run.append(number)
            continue
        if run:
            result.append(vocabulary.decode(run))
            run = []
        if name:
            result.append(name)
    return result


def masked_pieces(
    vocabulary: seqio.Vocabulary,
    ids: np.ndarray,
    inputs: np.ndarray,
    targets: np.ndarray,
    mask_id: int,
) -> list[str]:
    """Returns the `pieces` of a row with masks, as of a masked language model.

    A token that is predicted is "[token -> what the model reads]": "[cat -> <mask>]", "[cat ->
    dog]" with a random token, "[cat]" if it is read unchanged.

    Args:
        vocabulary: the vocabulary.
        ids: the tokens of the row, [length].
        inputs, targets: what `Masking.mask` returns for them.
        mask_id: the id of the mask.
    """
    result: list[str] = []
    tokens, begin = ids.tolist(), 0
    for place in [*np.flatnonzero(targets).tolist(), len(tokens)]:
        result += _pieces_after(vocabulary, tokens[:begin], tokens[begin:place])
        begin = place + 1
        if place == len(tokens):
            break
        (token,) = _pieces_after(vocabulary, tokens[:place], tokens[place:begin])
        read = "<mask>"
        if inputs[place] != mask_id:
            (read,) = _pieces_after(vocabulary, tokens[:place], [int(inputs[place])])
        spaces = token[: len(token) - len(token.lstrip(" "))] if token.strip(" ") else ""
        token = token[len(spaces) :]
        if inputs[place] != tokens[place]:
            token += f" -> {read.lstrip(' ') or read}"
        result.append(f"{spaces}[{token}]")
    return result


def _pieces_after(vocabulary, before, ids):
    """The `pieces` of ids behind others; alone, their first word would lose its space."""
    if not before or not ids or special_name(vocabulary, before[-1]):
        return pieces(vocabulary, ids)
    alone = vocabulary.decode(before[-1:])
    found = pieces(vocabulary, [before[-1], *ids])
    first = found[0][len(alone) :] if found[0].startswith(alone) else found[0]
    return [first, *found[1:]]


def special_name(vocabulary: seqio.Vocabulary, number: int) -> str | None:
    """Returns the name of a special token, such as "<end>"; None for an ordinary token."""
    names = {vocabulary.unk_id: "<unknown>", vocabulary.eos_id: "<end>", vocabulary.pad_id: "<pad>"}
    if number in names:
        return names[number]
    first_extra = vocabulary.vocab_size - vocabulary.extra_ids
    return f"<extra {number}>" if number >= first_extra else None
