"""The rows that `mode = "perplexity_eval"` evaluates, for the protocol `as_released`.

The released systems evaluate the first `utils.run.perplexity_eval_steps` batches (default 100) of
`utils.run.batch_size` rows that t5's `mesh_eval_dataset_fn` gives. T5's pipeline makes these rows
from the documents with the run's own objective and pads them; under T5's objectives it replaces the
last token of a full row by an end token. The loss is the mean of -log p over the tokens of these
rows, and experts drop tokens as they do in such a batch.

Objectives join, cut and shuffle documents, so the text of a row is not known: there are no bytes,
characters and words, and each row counts as a document.
"""

import numpy as np
import tensorflow.compat.v1 as tf

from primer.common import checks, tf_data
from primer.data import preflight
from primer.data.objectives import row_objectives
from primer.errors import UsageError
from primer.evaluation import tokenized_split
from primer.gin_config.values import configured
from primer.runtime import batch_size

_STEPS = 100  # The default of utils.run.perplexity_eval_steps.


def read_rows(task_name: str, split: str, length: int) -> tokenized_split.TokenizedSplit:
    """Reads the tokens of the rows; each row counts as a document.

    Raises:
        UsageError: the task or split does not exist, cannot be read or is empty; or the released
            command evaluates it in parts or packs its rows.
    """
    preflight.check_split(task_name, split)
    _check_not_packed()
    targets = list(tf_data.elements(lambda: _rows(task_name, split, length)))
    rows = np.concatenate(targets) if targets else np.zeros([0, length], np.int32)
    if not rows.any():
        raise UsageError(f"task {task_name}: the split {split!r} has no row; nothing to score")
    end = preflight.find_task(task_name).output_features["targets"].vocabulary.eos_id
    lengths = np.count_nonzero(rows, axis=1)
    return tokenized_split.from_tokens(rows[rows > 0].astype(np.int32), lengths, end)


def rows_per_batch(rows: int | None = None) -> int:
    """Returns the rows of a batch, which determine the tokens that experts drop.

    Args:
        rows: the batch size that the user sets, or None.

    Raises:
        UsageError: `rows` differs from the run's own batch size.
    """
    if rows not in (None, batch_size.rows_per_batch()):
        raise UsageError(
            f"--batch_size {rows}: the protocol as_released has the run's own batches of "
            f"{batch_size.rows_per_batch()} rows (utils.run.batch_size), and its numbers may "
            "depend on them; leave --batch_size out"
        )
    return batch_size.rows_per_batch()


def describe(split: str, length: int) -> str:
    """Returns a sentence on how the rows are made."""
    closed = "" if row_objectives.ends_documents() else ", full rows closed by an end token"
    return (
        f"As released: at most the first {_steps()} batches (utils.run.perplexity_eval_steps) of "
        f"{rows_per_batch()} rows of {length} tokens of the {split} split as T5's pipeline pads "
        f"them{closed}; other tokens than those of the whole split, and "
        "not comparable across vocabularies."
    )


def _steps():
    steps = configured("utils.run.perplexity_eval_steps", _STEPS)
    return checks.whole_number("utils.run.perplexity_eval_steps", steps)


def _check_not_packed():
    if configured("mesh_eval_dataset_fn.pack", False):
        raise UsageError(
            "mesh_eval_dataset_fn.pack = True: the protocol as_released reads padded rows, as the "
            'released command does; use --protocol packed, or mode = "perplexity_eval"'
        )


def _rows(task_name: str, split: str, length: int) -> tf.data.Dataset:
    """A data set of targets [rows, length], one element per batch."""
    from t5.models import mesh_transformer

    parts = mesh_transformer.mesh_eval_dataset_fn(
        mixture_or_task_name=task_name,
        sequence_length={"inputs": 1, "targets": length},
        dataset_split=split,
    )
    if len(parts) != 1:
        raise UsageError(
            f"the mixture {task_name!r} has {len(parts)} tasks, and the released command has a "
            "number for each: evaluate one task (MIXTURE_NAME) as_released"
        )
    rows = parts[0].dataset_fn().map(lambda example: example["targets"])
    return rows.take(_steps() * rows_per_batch()).batch(rows_per_batch())
