"""One shard of a prepared data set: read, tokenized and written by one process.

Every shard has its part of every split. It depends on the settings and its number alone, so that
the same bytes come out whoever writes it, and a shard that was finished before a restart is kept.
"""

import collections
import functools
from collections.abc import Callable, Iterator, Sequence

import seqio

from primer.common import files, tf_data
from primer.data import preflight, whole_documents
from primer.data.prepared import manifest
from primer.data.prepared.writers import WRITERS
from primer.data.sources import formats, readers
from primer.data.vocabularies import batch_tokenize

_TEXTS_AT_ONCE = 512


def write_shard(plan, index: int, progress: Callable[[int], None]) -> dict:
    """Writes shard `index` and the record that it is finished; returns that record.

    Args:
        plan: a `primer.data.prepared.plan.Plan`.
        index: the shard's number.
        progress: is called with the bytes of text since the last call.

    Raises:
        UsageError: the data cannot be read.
        OSError, tf.errors.OpError: the shard cannot be written; what there is of it is removed.
    """
    task = preflight.find_task(plan.task)
    vocabulary = task.output_features["targets"].vocabulary
    directory = manifest.task_directory(plan.output, plan.task)
    notes = readers.SkipCounts()
    tokenizer = _tokenizer(plan, manifest.vocabulary_identity(vocabulary))
    writers = {
        split: WRITERS[plan.format](directory, split, index, plan, vocabulary)
        for split in task.splits
    }
    try:
        for split, texts in batch_texts(read_texts(task, index, plan.shards, notes)):
            writers[split].add(texts, *tokenizer(texts))
            progress(sum(map(len, texts)))
        written = {split: writer.finish() for split, writer in writers.items()}
    finally:
        for writer in writers.values():
            writer.discard()
    record = {
        "splits": written,
        "empty": notes.empty,
        "not_utf8": dict(sorted(notes.not_utf8.items())),
    }
    files.write_json(manifest.shard_record_path(directory, index), record)
    return record


@functools.lru_cache(maxsize=1)
def _tokenizer(plan, vocabulary_identity):
    """Kept from shard to shard: to make one costs as much as 100,000 tokens do."""
    del vocabulary_identity
    vocabulary = preflight.find_task(plan.task).output_features["targets"].vocabulary
    return tf_data.TextFunction(functools.partial(tokenize, vocabulary))


def tokenize(vocabulary, texts):
    """The ids of texts: all of them in a row, and where each text's begin and the last ends."""
    ids = batch_tokenize.tokenize_texts(vocabulary, texts)
    return ids.flat_values, ids.row_splits


def read_texts(
    task, index: int, shards: int, notes: readers.SkipCounts, splits: Sequence[str] | None = None
) -> Iterator[tuple[str, bytes]]:
    """The texts of one shard as the tokenizer gets them, as (split, text).

    Args:
        task: the task.
        index, shards: which shard, of how many.
        notes: counts what is left out.
        splits: where only these are wanted; those of others may come as well.
    """
    if getattr(task.source, "shard_reader", None):
        yield from task.source.shard_reader.read_shard(index, shards, notes)
        return
    for split in splits or task.splits:
        make = functools.partial(_texts, task, split, index, shards)
        for text in tf_data.elements(make):
            yield split, text


def _texts(task, split, index, shards):
    dataset = _part(task.source, split, index, shards)
    for step in whole_documents.text_steps(task):
        dataset = step(dataset)
    return dataset.map(lambda example: example["targets"])


def _part(source, split, index, shards):
    if hasattr(source, "part"):
        return source.part(split, index, shards)
    info = seqio.ShardInfo(index=index, num_shards=shards)
    if len(source.list_shards(split)) >= shards:
        return source.get_dataset(split=split, shuffle=False, shard_info=info)
    return source.get_dataset(split=split, shuffle=False).shard(shards, index)


def batch_texts(texts):
    """Yields (split, texts) of a limited number and size; the order within a split is kept."""
    waiting = collections.defaultdict(list)
    sizes = collections.Counter()
    for split, text in texts:
        waiting[split].append(text)
        sizes[split] += len(text)
        if len(waiting[split]) == _TEXTS_AT_ONCE or sizes[split] > formats.BATCH_BYTES:
            yield split, waiting.pop(split)
            del sizes[split]
    yield from waiting.items()
