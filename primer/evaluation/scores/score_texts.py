"""The log-probability of documents: what `primer score` asks of the engine.

t5's main calls `utils.run`, and that calls `train_model_fn` with the estimator it has made. With
`gin/run/score.gin` this function takes the trainer's place, so that the model, the mesh and the
vocabulary come from the very settings that training had. The protocol is gin's.
"""

import functools

import gin
import numpy as np

from primer.checkpoints import checkpoint_files, model_directory, selection, vocabulary_size
from primer.common import console
from primer.data import preflight, whole_documents
from primer.errors import UsageError
from primer.evaluation import evaluate, protocols
from primer.evaluation.progress import Counting
from primer.evaluation.scores import documents, rows, streaming
from primer.evaluation.scores import output as outputs
from primer.evaluation.scores.token_pieces import Pieces
from primer.evaluation.totals import Totals


@gin.configurable(module="primer")
def score_texts(
    estimator,
    *training_arguments,
    files=None,
    task=None,
    split=None,
    unit=None,
    field="text",
    checkpoint="latest",
    tokens=False,
    format="jsonl",
    output=None,
    batch_size=None,
    **training_settings,
):
    """Writes one row a document, in the order of the input; see `rows.columns`.

    Args:
        estimator: a LocalEstimator, for its model, mesh, vocabulary and directory.
        files: a list of files or globs: .txt, .jsonl, each also .gz, .zst and .xz, or .parquet.
        task, split: in place of files, a split of a data set; the task is the run's own unless
            given.
        unit: what a document of a .txt file is, a "file" or a "line"; None for "line" where the
            run's own data set is one of lines (LM1B, WikiText, PTB), else "file".
        field: the key of the text in .jsonl, the column in .parquet.
        checkpoint: "latest", "best" or a step.
        tokens: whether each row has all tokens and their log-probabilities.
        format: "jsonl" or "parquet".
        output: the file; None for standard output.
        batch_size: windows at a time; it changes the speed and not the numbers.
        training_arguments, training_settings: what the trainer would get; unused.

    Raises:
        UsageError: a setting that cannot work, nothing to score, or no such checkpoint.
        RunError: the checkpoint cannot be read, or the rows cannot be written.
    """
    del training_arguments, training_settings
    outputs.check(output, format)
    model_dir = estimator.model_dir
    path = selection.select_checkpoint(model_dir, checkpoint)
    model = evaluate.model_of(estimator)
    model_directory.check_model(model_dir, model, estimator.settings["vocabulary"])
    vocabulary_size.check_embedding_size(model, [path])
    protocol = _protocol(evaluate.length_of(estimator))
    chunks, vocabulary = _chunks(files, task, split, unit, field)
    constants = {"step": checkpoint_files.step_of(path), "protocol": protocol.label}
    make_columns = functools.partial(
        rows.columns, constants=constants, pieces=Pieces(vocabulary) if tokens else None
    )
    with outputs.writer(output, format, {"model_dir": model_dir, **constants}) as write:
        scorer = evaluate.scorer_of(estimator, batch_size)
        scorer.restore(path)
        with Counting(f"step {constants['step']:,}") as counting:
            sums = _Sums()
            for chunk, nats in streaming.scored(protocol, scorer, chunks, counting.add):
                write(make_columns(chunk, nats))
                sums.add(chunk.text, nats)
        if not sums.documents:
            raise UsageError("there is no document in what was to be scored")
    scorer.close()
    _say(sums.totals(), counting.seconds, constants["step"])
    console.say(" ".join([f"{protocol.label}: {protocol.how(scorer.length)}.", *scorer.caveats]))
    if output:
        console.say(f"Written to {output}")


def _protocol(length):
    protocol = protocols.chosen()
    if protocol.name == protocols.AS_RELEASED:
        raise UsageError(
            "protocol.name = 'as_released' (--protocol) scores the rows of a training pipeline and "
            "not documents; choose packed, document, stream or sliding"
        )
    protocol.check(length)
    return protocol


def _chunks(files, task, split, unit, field):
    """The documents, of which nothing is read yet, and the vocabulary of their tokens."""
    own = evaluate.task_name()
    vocabulary = _vocabulary(own)
    if bool(files) == bool(split):
        raise UsageError(
            "primer score takes files, or --split for a data set"
            + (", not both" if files else "; there is neither")
        )
    if not files:
        _check_task(task or own, split, vocabulary)
        return documents.of_split(task or own, split), vocabulary
    if task:
        raise UsageError("--task goes with --split; files are read without a task")
    are_lines = whole_documents.are_lines(own)
    unit = unit or documents.UNITS[are_lines]
    found = documents.check_files([files] if isinstance(files, str) else files, unit, field)
    return documents.of_files(*found, vocabulary, are_lines), vocabulary


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


class _Sums:
    """The total of what was written, in float64."""

    def __init__(self):
        self.nats, self.tokens, self.documents = 0.0, 0, 0
        self._bytes = self._characters = self._words = 0

    def add(self, text, nats):
        """Takes the losses of a text's tokens."""
        self.nats += float(np.sum(nats, dtype=np.float64))
        self.tokens += len(text.ids)
        self.documents += len(text.lengths)
        self._bytes += text.bytes or 0
        self._characters += text.characters or 0
        self._words += text.words or 0

    def totals(self) -> Totals:
        return Totals(
            self.nats, self.tokens, self._bytes, self._words, self.documents, self._characters
        )


def _say(totals, seconds, step):
    parts = [
        f"{totals.documents:,} document{'s' * (totals.documents != 1)}, {totals.tokens:,} tokens",
        f"{totals.nats_per_token:.4f} nats/token",
        *([f"{totals.bits_per_byte:.4f} bits/byte"] if totals.bytes else []),
        f"step {step:,}, {seconds:.1f} s",
    ]
    console.say("; ".join(parts))
