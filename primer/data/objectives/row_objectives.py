"""The objectives: preprocessors that turn documents into the rows that a language model trains on.

gin chooses one as in T5, with `preprocessors.unsupervised.preprocessors`:

| file | documents become |
|---|---|
| `objectives/lm.gin` (T5's) | joined, cut into chunks, an end token in the last place of each |
| `objectives/lm_documents.gin` | an end token each, joined, cut into full rows |
| `objectives/lm_stream.gin` | the same in B parallel columns, see `token_columns` |
| `objectives/documents_random.gin` | a random window of each in every epoch (GPT-Neo) |
| `objectives/chunks.gin` | windows one after the other, the last one padded (GPT-Neo) |

T5's objectives end every row with an end token. Those of this module end each document with one
instead, and `primer.data.document_task` tells the task which of both holds.
"""

from collections.abc import Mapping
from typing import Any

import gin
import seqio
import tensorflow as tf

from primer.common import checks
from primer.data.objectives.segment_lengths import varied_lengths
from primer.data.objectives.task_documents import TaskDocuments
from primer.errors import UsageError

# A call of a function takes TensorFlow at least 25 microseconds, however few tokens it gets.
_DOCUMENTS_AT_ONCE = 16
_CHOICE = "t5.data.preprocessors.unsupervised.preprocessors"


def chosen_preprocessors() -> list[str]:
    """Returns the names of the preprocessors that gin binds, without their modules."""
    try:
        steps = gin.query_parameter(_CHOICE)
    except ValueError:  # Not bound.
        return []
    if isinstance(steps, gin.config.ConfigurableReference):  # A macro.
        steps = steps.scoped_configurable_fn()
    return [_name(step) for step in steps or []]


def _name(step):
    name = getattr(step, "selector", None) or getattr(step, "__name__", type(step).__name__)
    return name.split(".")[-1]


def ends_documents() -> bool:
    """Returns whether the objective ends documents, and not rows, with an end token."""
    return any(name in OBJECTIVES for name in chosen_preprocessors())


def reads_stored_documents() -> bool:
    """Returns whether the first step is one of Primer's objectives, which take `TaskDocuments`."""
    return chosen_preprocessors()[:1] in [[name] for name in OBJECTIVES]


def is_stream() -> bool:
    """Returns whether the objective is `lm_stream`, which lays the text out in columns.

    Raises:
        UsageError: other preprocessors are bound with it.
    """
    names = chosen_preprocessors()
    if "lm_stream" in names and len(names) > 1:
        raise UsageError(
            f"preprocessors.unsupervised.preprocessors is {names}; expected lm_stream alone, which "
            "reads the documents itself"
        )
    return "lm_stream" in names


@gin.configurable(module="primer")
def lm_documents(
    dataset: tf.data.Dataset | TaskDocuments,
    sequence_length: Mapping[str, int],
    output_features: Mapping[str, seqio.Feature],
    **unused: Any,
) -> tf.data.Dataset:
    """Joins documents, each with an end token, and cuts them into rows.

    Args:
        dataset: documents {"targets": ids [any length]} without end tokens, which are cut in order;
            or a task's stored documents, whose rows come in random order.
        sequence_length: {"targets": length of a row}.
        output_features: the task's.

    Returns:
        A data set of {"targets": [length]}; the last row of a finite one may be shorter.
    """
    length = _row_length(sequence_length)
    _require_open_rows(output_features)
    if isinstance(dataset, TaskDocuments):
        return dataset.joined_rows(length)
    eos_id = output_features["targets"].vocabulary.eos_id

    def join(documents):
        ends = tf.fill([documents.nrows(), 1], eos_id)
        return tf.concat([tf.cast(documents, tf.int32), ends], 1).values

    ids = dataset.map(lambda example: example["targets"])
    texts = ids.ragged_batch(_DOCUMENTS_AT_ONCE).map(join, tf.data.AUTOTUNE)
    return texts.rebatch(length).map(_as_targets, tf.data.AUTOTUNE)


@gin.configurable(module="primer")
def documents_random(
    dataset: tf.data.Dataset | TaskDocuments,
    sequence_length: Mapping[str, int],
    output_features: Mapping[str, seqio.Feature],
    stitch: int = 1,
    **unused: Any,
) -> tf.data.Dataset:
    """Takes a random window of each document, or of each `stitch` documents joined.

    Args:
        dataset, sequence_length, output_features: as for `lm_documents`.
        stitch: the number of documents that are joined, each with an end token, before the window
            is taken. Windows shorter than a row are padded later.

    Returns:
        A data set of {"targets": [at most length]}: a row per `stitch` documents and epoch.
    """
    checks.whole_number("documents_random.stitch", stitch)
    length = _row_length(sequence_length)
    if isinstance(dataset, TaskDocuments):
        dataset = dataset.dataset()
    texts = _with_end_tokens(dataset, output_features)
    if stitch > 1:
        texts = texts.ragged_batch(stitch).map(lambda documents: documents.values, tf.data.AUTOTUNE)

    @seqio.map_over_dataset(num_seeds=1)
    def window(ids, seed):
        starts = tf.maximum(tf.size(ids) - length, 0) + 1
        start = tf.random.stateless_uniform([], seed, 0, starts, tf.int32)
        return _as_targets(ids[start : start + length])

    return window(texts)


@gin.configurable(module="primer")
def chunks(
    dataset: tf.data.Dataset | TaskDocuments,
    sequence_length: Mapping[str, int],
    output_features: Mapping[str, seqio.Feature],
    **unused: Any,
) -> tf.data.Dataset:
    """Cuts each document, with its end token, into consecutive windows.

    Args:
        dataset, sequence_length, output_features: as for `lm_documents`.

    Returns:
        A data set of {"targets": [length]}; a document's last window ends in zeros.
    """
    length = _row_length(sequence_length)
    if isinstance(dataset, TaskDocuments):
        _require_open_rows(output_features)
        return dataset.window_rows(length)

    def windows(ids):
        padded = tf.pad(ids, [[0, -tf.size(ids) % length]])
        return _as_targets(tf.reshape(padded, [-1, length]))

    return _with_end_tokens(dataset, output_features).map(windows, tf.data.AUTOTUNE).unbatch()


@gin.configurable(module="primer")
def lm_stream(
    dataset: TaskDocuments,
    sequence_length: Mapping[str, int],
    output_features: Mapping[str, seqio.Feature],
    columns: int = gin.REQUIRED,
    vary_length: bool = False,
    **unused: Any,
) -> tf.data.Dataset:
    """Lays all documents out in parallel columns; a batch has the next row of each column.

    Args:
        dataset: the documents, from `primer.data.document_task.DocumentTask`.
        sequence_length: {"targets": length of a row}.
        output_features: the task's.
        columns: the number of columns, which are the rows of a batch; `@rows_per_batch()` takes
            the run's batch size.
        vary_length: whether the number of tokens is drawn for each batch (`segment_lengths`);
            rows are padded to their length.

    Returns:
        A data set of {"targets": [at most length]}; each `columns` rows are a batch.

    Raises:
        UsageError: the task is no `DocumentTask`, or the text is too short.
    """
    if not isinstance(dataset, TaskDocuments):
        raise _needs_document_task("lm_stream")
    _require_open_rows(output_features)
    checks.whole_number("lm_stream.columns", columns)
    length = _row_length(sequence_length)
    varies = checks.boolean("lm_stream.vary_length", vary_length)
    return dataset.columns(columns, length, varied_lengths(length) if varies else None)


OBJECTIVES = {fn.__name__ for fn in (lm_documents, lm_stream, documents_random, chunks)}


def _with_end_tokens(dataset, output_features):
    """Returns a data set of each document's ids [length] with the end token."""
    _require_open_rows(output_features)
    eos_id = output_features["targets"].vocabulary.eos_id

    def add_end(example):
        return tf.concat([tf.cast(example["targets"], tf.int32), [eos_id]], 0)

    return dataset.map(add_end, tf.data.AUTOTUNE)


def _as_targets(ids):
    return {"targets": ids}


def _row_length(sequence_length):
    length = (sequence_length or {}).get("targets")
    if not length:
        raise UsageError(
            f"{', '.join(chosen_preprocessors())} needs the length of a row; set "
            'utils.run.sequence_length = {"inputs": 1, "targets": 512}'
        )
    return length


def _require_open_rows(output_features):
    """Raises UsageError for a task of which T5 replaces each row's last token by an end token."""
    if output_features["targets"].add_eos:
        raise _needs_document_task(", ".join(chosen_preprocessors()))


def _needs_document_task(objective):
    return UsageError(
        f"the objective {objective} needs a task that does not end each row with an end token; "
        "register the task with task_cls=primer.data.document_task.DocumentTask, or use "
        "objectives/lm.gin"
    )
