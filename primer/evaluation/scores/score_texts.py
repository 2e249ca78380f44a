"""Scores documents: the engine's part of `primer score`.

t5's main calls `utils.run`, which calls `train_model_fn` with the estimator that it made.
`gin/run/score.gin` binds that to `score_texts`, so the model, the mesh and the vocabulary come from
the same settings as in training. The protocol is the one that gin configures.
"""

import functools
import os
from collections.abc import Iterator
from typing import Any

import gin
import numpy as np
import seqio

from primer.checkpoints import checkpoint_files, model_directory, selection, vocabulary_size
from primer.common import console, user_paths
from primer.common.settings import evaluation_settings
from primer.data import preflight, text_stamps, whole_documents
from primer.data.vocabularies.round_trip import Changes
from primer.errors import UsageError
from primer.evaluation import evaluate, protocols
from primer.evaluation.memory import reach
from primer.evaluation.progress import TokenCounter
from primer.evaluation.scores import documents, rows, streaming
from primer.evaluation.scores import output as outputs
from primer.evaluation.scores.token_pieces import TokenPieces
from primer.evaluation.tokenized_split import TokenizedSplit, say_changes
from primer.evaluation.totals import Totals
from primer.runtime import estimator_model, model_function


@gin.configurable(module="primer")
def score_texts(
    estimator: Any,
    *training_arguments: Any,
    files: list[str] | str | None = None,
    task: str | None = None,
    split: str | None = None,
    unit: str | None = None,
    field: str = "text",
    checkpoint: str | int = "latest",
    tokens: bool = False,
    format: str = "jsonl",
    output: str | None = None,
    overwrite: bool = False,
    batch_size: int | None = None,
    **training_settings: Any,
) -> None:
    """Writes one row per document, in the order of the input; see `rows.make_columns`.

    Args:
        estimator: a LocalEstimator, for its model, mesh, vocabulary and directory.
        files: a list of files or globs: .txt, .jsonl, each also .gz, .zst and .xz, or .parquet.
        task, split: instead of files, a split of a data set; the run's own task by default.
        unit: what a document of a .txt file is, a "file" or a "line"; None for "line" if the run's
            own data set has lines (LM1B, WikiText, PTB), else "file".
        field: the key of the text in .jsonl, the column in .parquet.
        checkpoint: "latest", "best" or a step.
        tokens: whether each row has all tokens and their log-probabilities.
        format: "jsonl" or "parquet".
        output: the file, which must be new; None for standard output.
        overwrite: whether to replace an existing file, though never one that is scored.
        batch_size: windows per batch; it changes the speed and not the numbers.
        training_arguments, training_settings: the trainer's arguments; unused.

    Raises:
        UsageError: a setting is invalid, there is no document, or the checkpoint does not exist.
        RunError: the checkpoint cannot be read, or the rows cannot be written.
    """
    del training_arguments, training_settings
    output = user_paths.expand(output) if output else None
    outputs.check_output(output, format, overwrite)
    model_dir = estimator.model_dir
    path = selection.select_checkpoint(model_dir, checkpoint)
    model = estimator_model.model_of(estimator)
    model_function.check(model_dir, model_function.of_estimator(estimator))
    vocabulary_size.check_embedding_size(model, [path])
    protocol = _configured_protocol(estimator_model.length_of(estimator))
    protocol.check_model(is_masked=False, has_memory=reach.of_model(model) is not None)
    chunks, vocabulary, inputs = _chunks(model_dir, files, task, split, unit, field)
    outputs.check_output(output, format, overwrite, inputs)
    constants = {"step": checkpoint_files.step_of(path), "protocol": protocol.label}
    make_columns = functools.partial(
        rows.make_columns, constants=constants, pieces=TokenPieces(vocabulary) if tokens else None
    )
    with outputs.open_writer(output, format, {"model_dir": model_dir, **constants}) as write:
        scorer = evaluate.make_scorer(estimator, batch_size)
        scorer.restore(path)
        with TokenCounter(f"step {constants['step']:,}") as counter:
            sums = _RunningTotals()
            for chunk, nats in streaming.score_chunks(protocol, scorer, chunks, counter.add):
                write(make_columns(chunk, nats))
                sums.add(chunk.text, nats)
        if not sums.documents:
            raise UsageError("no document: the files or the split have nothing to score")
    scorer.close()
    _print_totals(sums.totals(), counter.seconds, constants["step"])
    how = f"{protocol.label}: {protocol.describe_windows(scorer.length, scorer.memory)}."
    console.say(" ".join([how, *scorer.caveats]))
    say_changes(sums.changes)
    if output:
        console.say(f"Written to {output}")


def _configured_protocol(length):
    protocol = protocols.configured_protocol()
    evaluation_settings.check_score_protocol(protocol.name)
    protocol.check_stride(length)
    return protocol


def _chunks(
    model_dir: str,
    files: list[str] | str | None,
    task: str | None,
    split: str | None,
    unit: str | None,
    field: str,
) -> tuple[Iterator[documents.Chunk], seqio.Vocabulary, list[str]]:
    """Checks the input; returns its documents, not read yet, their vocabulary, and their files."""
    own = estimator_model.task_name()
    vocabulary = _vocabulary(own)
    evaluation_settings.check_score_input(files, split, task)
    if split:
        _check_task(task or own, split, vocabulary)
        trained_on = os.path.join(model_dir, model_directory.TEXTS)
        text_stamps.say_doubts(trained_on, seqio.get_subtasks(preflight.find_task(task or own)))
        chunks = documents.read_split(task or own, split)
        return chunks, vocabulary, whole_documents.input_files(task or own)
    are_lines = whole_documents.are_lines(own)
    unit = unit or documents.UNITS[are_lines]
    found = documents.find_files([files] if isinstance(files, str) else files or [], unit, field)
    return documents.read_files(*found, vocabulary, are_lines), vocabulary, found[0]


def _check_task(task, split, vocabulary):
    preflight.check_split(task, split)
    whole_documents.check_task(task)
    if _vocabulary(task) != vocabulary:
        raise UsageError(
            f"task {task} (--task) has another vocabulary than the model was trained with: "
            f"{_vocabulary(task)}, and not {vocabulary}; set task_vocabulary.name (and model_file) "
            "with --gin_param"
        )


def _vocabulary(task):
    return preflight.find_task(task).output_features["targets"].vocabulary


class _RunningTotals:
    """Sums the losses and counts of chunks, in float64."""

    def __init__(self):
        self.nats, self.tokens, self.documents = 0.0, 0, 0
        self._bytes = self._characters = self._words = 0
        self.changes = Changes()

    def add(self, text: TokenizedSplit, nats: np.ndarray) -> None:
        self.nats += float(np.sum(nats, dtype=np.float64))
        self.tokens += len(text.ids)
        self.documents += len(text.lengths)
        self._bytes += text.bytes or 0
        self._characters += text.characters or 0
        self._words += text.words or 0
        self.changes += text.changes or Changes()

    def totals(self) -> Totals:
        return Totals(
            self.nats, self.tokens, self._bytes, self._words, self.documents, self._characters
        )


def _print_totals(totals, seconds, step):
    parts = [
        f"{totals.documents:,} document{'s' * (totals.documents != 1)}, {totals.tokens:,} tokens",
        f"{totals.nats_per_token:.4f} nats/token",
        *([f"{totals.bits_per_byte:.4f} bits/byte"] if totals.bytes else []),
        f"step {step:,}, {seconds:.1f} s",
    ]
    console.say("; ".join(parts))
