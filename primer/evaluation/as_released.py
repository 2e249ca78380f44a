"""What `mode = "perplexity_eval"` counts, for the protocol `as_released`.

The released systems evaluate the first `utils.run.perplexity_eval_steps` batches (100 unless gin
says otherwise) of `utils.run.batch_size` that t5's `mesh_eval_dataset_fn` gives: rows that T5's
pipeline makes of the documents by the run's own objective, padded, the last token of a full row
replaced by an end token. Their number is the mean of -log p over the tokens of these rows, and
experts drop what they drop in such a batch.

Of these rows nobody has the text: objectives join documents, cut and shuffle them. So there are no
bytes, characters and words, and what stands for a document is a row.
"""

import numpy as np

from primer.common import checks, tf_data
from primer.data import preflight
from primer.errors import UsageError
from primer.evaluation import tokenized_split
from primer.gin_config.values import configured
from primer.runtime import batch_size

_STEPS = 100  # Of utils.run.


def read(task_name, split, length) -> tokenized_split.Text:
    """The tokens of the rows; what stands for a document is a row.

    Raises:
        UsageError: there is no such task or split, it cannot be read, it is empty, or it is one
            that the released command evaluates in parts or packs.
    """
    preflight.check_split(task_name, split)
    _check_pack()
    targets = list(tf_data.elements(lambda: _rows(task_name, split, length)))
    rows = np.concatenate(targets) if targets else np.zeros([0, length], np.int32)
    if not rows.any():
        raise UsageError(f"task {task_name}: the split {split!r} has no row; nothing to score")
    end = preflight.find_task(task_name).output_features["targets"].vocabulary.eos_id
    lengths = np.count_nonzero(rows, axis=1)
    return tokenized_split.of_tokens(rows[rows > 0].astype(np.int32), lengths, end)


def checked_rows(rows=None) -> int:
    """How many rows a batch has; by them experts drop tokens.

    Args:
        rows: what the user asks for, or None.

    Raises:
        UsageError: that is another number.
    """
    if rows not in (None, batch_size.rows_per_batch()):
        raise UsageError(
            f"--batch_size {rows}: the protocol as_released has the run's own batches of "
            f"{batch_size.rows_per_batch()} rows (utils.run.batch_size), which its numbers may "
            "depend on; leave --batch_size out"
        )
    return batch_size.rows_per_batch()


def describe(split, length) -> str:
    """How the rows came about, in a sentence."""
    return (
        f"As released: at most the first {_steps()} batches (utils.run.perplexity_eval_steps) of "
        f"{checked_rows()} rows of {length} tokens of the {split} split as T5's pipeline pads "
        "them, full rows closed by an end token; other tokens than those of the whole split, and "
        "not comparable across vocabularies."
    )


def _steps():
    steps = configured("utils.run.perplexity_eval_steps", _STEPS)
    return checks.whole_number("utils.run.perplexity_eval_steps", steps)


def _check_pack():
    if configured("mesh_eval_dataset_fn.pack", False):
        raise UsageError(
            "mesh_eval_dataset_fn.pack = True: the protocol as_released reads padded rows, as the "
            'released command does; use --protocol packed, or mode = "perplexity_eval"'
        )


def _rows(task_name, split, length):
    """A data set of [rows, length], the targets of one batch after the other."""
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
    return rows.take(_steps() * checked_rows()).batch(checked_rows())
