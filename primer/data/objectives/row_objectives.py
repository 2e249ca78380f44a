"""From documents to the rows that a language model trains on; gin chooses how.

An objective is what `preprocessors.unsupervised.preprocessors` names, as in T5:

| file | documents become |
|---|---|
| `objectives/lm.gin` (T5's) | joined, cut into chunks, an end token in the last place of each |
| `objectives/lm_documents.gin` | an end token each, joined, cut into full rows |
| `objectives/lm_stream.gin` | the same in B parallel columns, see `token_columns` |
| `objectives/documents_random.gin` | a random window each and epoch (GPT-Neo) |
| `objectives/chunks.gin` | windows one after the other, the last one padded (GPT-Neo) |

Those of T5 close every row with an end token. Ours put one behind each document alone, for which a
task has to know the objective: `primer.data.document_task`.
"""

import gin
import seqio
import tensorflow as tf

from primer.common import checks
from primer.data.objectives.column_documents import ColumnDocuments
from primer.errors import UsageError

# A function costs TensorFlow 25 microseconds however few tokens it gets.
_DOCUMENTS_AT_ONCE = 16
_CHOICE = "t5.data.preprocessors.unsupervised.preprocessors"


def chosen_preprocessors() -> list[str]:
    """The names of the preprocessors that gin has for documents, without their modules."""
    try:
        steps = gin.query_parameter(_CHOICE)
    except ValueError:
        return []
    if isinstance(steps, gin.config.ConfigurableReference):  # A macro.
        steps = steps.scoped_configurable_fn()
    return [_name(step) for step in steps or []]


def _name(step):
    name = getattr(step, "selector", None) or getattr(step, "__name__", type(step).__name__)
    return name.split(".")[-1]


def ends_documents() -> bool:
    """Whether the objective puts an end token behind documents, and none behind rows."""
    return any(name in _OURS for name in chosen_preprocessors())


def is_stream() -> bool:
    """Whether the objective lays the text out in columns.

    Raises:
        UsageError: together with other steps.
    """
    names = chosen_preprocessors()
    if "lm_stream" in names and len(names) > 1:
        raise UsageError(
            f"preprocessors.unsupervised.preprocessors is {names}; expected lm_stream alone: it "
            "reads the documents themselves"
        )
    return "lm_stream" in names


@gin.configurable(module="primer")
def lm_documents(dataset, sequence_length, output_features, **unused):
    """Documents with an end token each, joined and cut into rows.

    Args:
        dataset: {"targets": ids [any length]}, a document each, without end token.
        sequence_length: {"targets": length of a row}.
        output_features: of the task.

    Returns:
        A data set of {"targets": [length]}; the last row of a finite one may be shorter.
    """
    length = _row_length(sequence_length)
    _require_open_rows(output_features)
    eos_id = output_features["targets"].vocabulary.eos_id

    def ended(some):
        ends = tf.fill([some.nrows(), 1], eos_id)
        return tf.concat([tf.cast(some, tf.int32), ends], 1).values

    ids = dataset.map(lambda example: example["targets"])
    texts = ids.ragged_batch(_DOCUMENTS_AT_ONCE).map(ended, tf.data.AUTOTUNE)
    return texts.rebatch(length).map(_as_targets, tf.data.AUTOTUNE)


@gin.configurable(module="primer")
def documents_random(dataset, sequence_length, output_features, stitch=1, **unused):
    """A random window of each document, or of each `stitch` documents joined.

    Args:
        dataset, sequence_length, output_features: as for `lm_documents`.
        stitch: how many documents are joined, an end token behind each, before the window is
            taken. Texts shorter than a row are padded.

    Returns:
        A data set of {"targets": [at most length]}, a row per text and epoch.
    """
    checks.whole_number("documents_random.stitch", stitch)
    length = _row_length(sequence_length)
    texts = _ended(dataset, output_features)
    if stitch > 1:
        texts = texts.ragged_batch(stitch).map(lambda several: several.values, tf.data.AUTOTUNE)

    @seqio.map_over_dataset(num_seeds=1)
    def window(ids, seed):
        starts = tf.maximum(tf.size(ids) - length, 0) + 1
        start = tf.random.stateless_uniform([], seed, 0, starts, tf.int32)
        return _as_targets(ids[start : start + length])

    return window(texts)


@gin.configurable(module="primer")
def chunks(dataset, sequence_length, output_features, **unused):
    """Each document, with its end token, cut into windows one after the other.

    Args:
        dataset, sequence_length, output_features: as for `lm_documents`.

    Returns:
        A data set of {"targets": [length]}; a document's last window ends in zeros.
    """
    length = _row_length(sequence_length)

    def windows(ids):
        padded = tf.pad(ids, [[0, -tf.size(ids) % length]])
        return _as_targets(tf.reshape(padded, [-1, length]))

    return _ended(dataset, output_features).map(windows, tf.data.AUTOTUNE).unbatch()


@gin.configurable(module="primer")
def lm_stream(dataset, sequence_length, output_features, columns=gin.REQUIRED, **unused):
    """All documents as one text in parallel columns, which batches go through in step.

    Args:
        dataset: what `primer.data.document_task.DocumentTask` gives it.
        sequence_length: {"targets": length of a row}.
        output_features: of the task.
        columns: rows of a batch; `@rows_per_batch()` takes the run's own.

    Returns:
        A data set of {"targets": [length]}, whose every `columns` rows are a batch.
    """
    if not isinstance(dataset, ColumnDocuments):
        raise _not_ours("lm_stream")
    _require_open_rows(output_features)
    checks.whole_number("lm_stream.columns", columns)
    return dataset.rows(columns, _row_length(sequence_length))


_OURS = {fn.__name__ for fn in (lm_documents, lm_stream, documents_random, chunks)}


def _ended(dataset, output_features):
    """Each document's ids [length], with the end token."""
    _require_open_rows(output_features)
    eos_id = output_features["targets"].vocabulary.eos_id

    def ended(example):
        return tf.concat([tf.cast(example["targets"], tf.int32), [eos_id]], 0)

    return dataset.map(ended, tf.data.AUTOTUNE)


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
    """T5 would put an end token over the last token of every row of such a task."""
    if output_features["targets"].add_eos:
        raise _not_ours(", ".join(chosen_preprocessors()))


def _not_ours(objective):
    return UsageError(
        f"the objective {objective} needs a task that does not close each row with an end token; "
        "register yours with task_cls=primer.data.document_task.DocumentTask, or use "
        "objectives/lm.gin"
    )
