"""Reads, tokenizes and writes one shard of a prepared data set.

A shard has a part of every split: a stratified sample of its documents, in a random order that the
plan's seed fixes. Its bytes depend on the settings and its index alone, not on the process or
machine that writes it, so that a shard that was finished before a restart is kept.

The texts of a shard are held in memory to shuffle them. A shard that takes more than WINDOW_BYTES
of memory is shuffled in windows of this size; its blocks of input are read in a random order.
"""

import collections
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import seqio
import tensorflow as tf

from primer.common import files, mixed_order, tf_data
from primer.data import preflight, whole_documents
from primer.data.prepared import manifest
from primer.data.prepared.writers import WRITERS
from primer.data.sources import formats, readers
from primer.data.vocabularies import batch_tokenize
from primer.data.vocabularies.round_trip import Changes, RoundTrip

if TYPE_CHECKING:
    from primer.data.prepared.plan import Plan

WINDOW_BYTES = 1 << 28

_TEXTS_AT_ONCE = 512
_BYTES_PER_TEXT = 100  # Of Python's objects.
# Of the key of a window's order; those of `text_parts` are smaller.
_WINDOW = 16


def write_shard(plan: "Plan", index: int, progress: Callable[[int], object]) -> dict[str, Any]:
    """Writes a shard and the record that it is finished; returns that record.

    Args:
        plan: the data set.
        index: the shard's index, from 0.
        progress: takes the bytes of text processed since the last call.

    Raises:
        UsageError: the data cannot be read.
        OSError, tf.errors.OpError: the shard cannot be written; its unfinished files are removed.
    """
    task = preflight.find_task(plan.task)
    vocabulary = task.output_features["targets"].vocabulary
    directory = manifest.task_directory(plan.output, plan.task)
    notes = readers.SkipCounts()
    tokenizer, round_trip = _tokenizer(plan, manifest.vocabulary_identity(vocabulary))
    changes = dict.fromkeys(task.splits, Changes())
    writers = {
        split: WRITERS[plan.format](directory, split, index, plan, vocabulary)
        for split in task.splits
    }
    windows: list[int] = []
    texts_in_order = read_texts(task, index, plan.shards, notes, seed=plan.seed)
    mixed = mix_texts(texts_in_order, plan.seed, index, windows.append)
    try:
        for split, texts in batch_texts(mixed):
            ids, ends = tokenizer(texts)
            writers[split].add(texts, ids, ends)
            changes[split] += round_trip.add(texts, ids, ends)
            progress(sum(map(len, texts)))
        written = {split: writer.finish() for split, writer in writers.items()}
    finally:
        for writer in writers.values():
            writer.discard()
    record = {
        "splits": written,
        "changes": {split: dataclasses.asdict(found) for split, found in changes.items()},
        "windows": len(windows),
        "empty": notes.empty,
        "not_utf8": dict(sorted(notes.not_utf8.items())),
    }
    files.write_json(manifest.shard_record_path(directory, index), record)
    return record


@functools.lru_cache(maxsize=1)
def _tokenizer(plan, vocabulary_identity):
    """Returns the tokenizer of a plan and its comparison, cached for the process's next shard.

    Building them takes as long as tokenizing 100,000 tokens.
    """
    del vocabulary_identity  # A key of the cache.
    vocabulary = preflight.find_task(plan.task).output_features["targets"].vocabulary
    return tf_data.TextFunction(functools.partial(tokenize, vocabulary)), RoundTrip(vocabulary)


def tokenize(vocabulary: seqio.Vocabulary, texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the ids of texts [ids], and where each text's begin and the last ends [texts + 1]."""
    ids = batch_tokenize.tokenize_texts(vocabulary, texts)
    return ids.flat_values, ids.row_splits


def read_texts(
    task: seqio.Task,
    index: int,
    shards: int,
    notes: readers.SkipCounts,
    splits: Sequence[str] | None = None,
    seed: int | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Yields the tokenizer's inputs of one shard, as (split, text).

    Args:
        task: the task.
        index, shards: the shard's index, and the number of shards.
        notes: counts the documents left out.
        splits: the splits to read; None for all. Sources that read all splits at once yield others
            too.
        seed: selects the documents of each shard; None for the order of the source.
    """
    if getattr(task.source, "shard_reader", None):
        yield from task.source.shard_reader.read_shard(index, shards, notes, seed)
        return
    for split in splits or task.splits:
        make_texts = functools.partial(_texts, task, split, index, shards, seed)
        for text in tf_data.elements(make_texts):
            yield split, text


def _texts(task, split, index, shards, seed):
    dataset = _part(task.source, split, index, shards, seed)
    for step in whole_documents.text_steps(task):
        dataset = step(dataset)
    return dataset.map(lambda example: example["targets"])


def _part(source, split, index, shards, seed):
    if hasattr(source, "part"):
        return source.part(split, index, shards, seed)
    info = seqio.ShardInfo(index=index, num_shards=shards)
    if len(source.list_shards(split)) >= shards:
        return source.get_dataset(split=split, shuffle=False, shard_info=info)
    return source.get_dataset(split=split, shuffle=False).shard(shards, index)


def mix_texts(
    texts: Iterable[tuple[str, bytes]], seed: int, index: int, on_window: Callable[[int], object]
) -> Iterator[tuple[str, bytes]]:
    """Yields (split, text) in a random order, within windows of about WINDOW_BYTES of memory.

    Args:
        texts: (split, text).
        seed: of the order.
        index: the shard's index; each shard has an order of its own.
        on_window: takes the number of texts of each window.
    """
    for number, window in enumerate(_windows(texts)):
        on_window(len(window))
        for place in mixed_order.permutation(len(window), seed, _WINDOW, index, number):
            yield window[place]


def _windows(texts):
    window, size = [], 0
    for split, text in texts:
        window.append((split, text))
        size += len(text) + _BYTES_PER_TEXT
        if size > WINDOW_BYTES:
            yield window
            window, size = [], 0
    if window:
        yield window


def batch_texts(texts: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, list[bytes]]]:
    """Yields (split, texts) in batches of limited number and size; a split's order is kept."""
    waiting: dict[str, list[bytes]] = collections.defaultdict(list)
    sizes: collections.Counter[str] = collections.Counter()
    for split, text in texts:
        waiting[split].append(text)
        sizes[split] += len(text)
        if len(waiting[split]) == _TEXTS_AT_ONCE or sizes[split] > formats.BATCH_BYTES:
            yield split, waiting.pop(split)
            del sizes[split]
    yield from waiting.items()
