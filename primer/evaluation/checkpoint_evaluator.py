"""Evaluates checkpoints one after the other with one scorer; known results are not scored again."""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from primer import __version__
from primer.checkpoints import checkpoint_files, model_directory
from primer.checkpoints.description import trained_tokens
from primer.common import console
from primer.errors import RunError, UsageError
from primer.evaluation import report, sharing
from primer.evaluation.paired import document_sums
from primer.evaluation.progress import Progress
from primer.evaluation.protocols import Protocol
from primer.evaluation.report import ACCURACY, CORRECT, COUNTED, FLOAT32, activation_dtype
from primer.evaluation.results import Results
from primer.evaluation.scorer import Scorer
from primer.evaluation.tokenized_split import TokenizedSplit
from primer.evaluation.windows.scored_parts import is_of_answers

Row = dict[str, Any]


class CheckpointEvaluator:
    """Finds or computes the row of each checkpoint; each row has the sums of its documents.

    Args:
        protocol, text: what is scored.
        identity: "model_dir", "task", "split", "window", "configuration", the fingerprint of the
            function that the model computes, and what the model costs (`ModelCost.as_result`);
            every row gets them.
        results: holds known rows, and gets the new ones.
        open_scorer: returns a context manager of a `Scorer`; entered for the first checkpoint that
            has to be scored.
        again: whether to score checkpoints whose row is known.
        announce: whether to print a line for each checkpoint that is scored or skipped.
        not_as_trained: the settings in which this function is not the one that was trained, as in
            "sublayer_true_layer_norm.epsilon 1e-06 -> 1.0"; every row gets them.

    Attributes:
        results: as given.
        settings: the keys that all rows of this text and protocol share.
        rows: the rows found, in the order of the calls.
        problems: a sentence for each checkpoint that could not be read.
        num_reused: the number of rows that were known.
    """

    def __init__(
        self,
        protocol: Protocol,
        text: TokenizedSplit,
        identity: Mapping[str, Any],
        results: Results,
        open_scorer: Callable[[], AbstractContextManager[Scorer]],
        again: bool = False,
        announce: bool = True,
        not_as_trained: str = "",
    ) -> None:
        self._protocol = protocol
        self._text = text
        self.results = results
        self._open_scorer = open_scorer
        self._again = again
        self._say = console.say if announce else _say_nothing
        self._not_as_trained = not_as_trained
        self._scorer: Scorer | None = None
        self._exit_stack = contextlib.ExitStack()
        self.settings = {
            **identity,
            "protocol": protocol.label,
            "text_checksum": text.checksum,
            "counts_checksum": text.counts_checksum,
            "primer": __version__,
        }
        with_accuracy = protocol.accuracy
        self._with_accuracy = is_of_answers(text) if with_accuracy is None else with_accuracy
        self.rows: list[Row] = []
        self.problems: list[str] = []
        self.num_reused = 0

    def evaluate(self, path: str) -> Row | None:
        """Returns the row of a checkpoint; prints why and returns None if it cannot be read."""
        step = checkpoint_files.step_of(path)
        # Before the scoring, so that no error ends it; for each checkpoint, because the run may go
        # on meanwhile (`--follow`, `--eval_every`) with another batch.
        training = self._training_flops(step)
        try:
            weights = (
                checkpoint_files.fingerprint(path) if checkpoint_files.has_index(path) else None
            )
            row = self._known_row(step, weights, training)
            if row is None:
                checkpoint_files.check_whole(path)
        except RunError as error:
            return self._skip(step, error)
        if row is not None:
            self.num_reused += 1
        else:
            if self._scorer is None:  # Outside the try: its errors are not the checkpoint's.
                self._scorer = self._exit_stack.enter_context(self._open_scorer())
            try:
                self._scorer.restore(path)
            except (RunError, UsageError) as error:
                return self._skip(step, error)
            row = self._score(self._scorer, step, weights, training)
        self.rows.append(row)
        return row

    def _known_row(self, step, weights, training):
        if self._again or weights is None:
            return None
        row = self.results.find_row(self.settings, step, weights)
        if row is None or (self._with_accuracy and ACCURACY not in row):
            return None
        # The directory may be a copy. A row of this version that has no costs, as where they were
        # not known when it was written, is shown with them; rows of other versions are not found.
        row = {
            **self.settings,
            **training,
            **row,
            "model_dir": self.settings["model_dir"],
        }
        return row if document_sums.read(row) is not None else None

    def _skip(self, step, error):
        self._say(f"primer: {error}; skipped")
        self.problems.append(f"step {step}: {error}")

    def _score(self, scorer, step, weights, training):
        """Scores the restored checkpoint, and writes and returns its row."""
        began = time.monotonic()
        with Progress(f"step {step:,}", len(self._text.ids)) as progress:
            nats, correct = self._nats_and_correct(scorer, progress)
        split, caveats = self.settings["split"], [*scorer.caveats]
        if self._not_as_trained:
            caveats.append(f"Not the model as trained: {self._not_as_trained}.")
        routers = scorer.routing.as_result()
        totals = self._protocol.total_of(nats, self._text)
        row = {
            "step": step,
            **totals.as_dict(),
            **({} if correct is None else {ACCURACY: correct / totals.tokens, CORRECT: correct}),
            **({COUNTED: self._text.counted} if is_of_answers(self._text) else {}),
            **_change_counts(self._text),
            **self.settings,
            **training,
            "weights": weights,
            "not_as_trained": self._not_as_trained,
            "how": self._protocol.describe(
                split, scorer.length, caveats, scorer.memory, self._text
            ),
            **({"routers": routers} if routers else {}),
            "evaluation_seconds": round(time.monotonic() - began, 3),
        }
        document_sums.write(row, document_sums.of_text(nats, self._text))
        self.results.add_row(row)
        self._say(_summary_line(row))
        return row

    def _nats_and_correct(self, scorer, progress):
        """Returns the loss of each token, and the number of scored tokens that are first choices.

        The latter is None unless the protocol counts it: it costs a pass over all logits.
        """
        if not self._with_accuracy:
            return self._protocol.token_nats(scorer, self._text, progress), None
        nats, are_best = self._protocol.token_nats_and_best(scorer, self._text, progress)
        return nats, int(are_best.sum())

    def _training_flops(self, step):
        """FLOPs of the training up to a step, for a row; nothing where they were not recorded."""
        try:
            record = model_directory.read_record(self.settings["model_dir"])
        except UsageError:  # Damaged: the number is left out.
            return {}
        flops = trained_tokens.flops_up_to(record, step)
        return {} if flops is None else {"training_flops": flops}

    def sorted_rows(self) -> list[Row]:
        """Returns the rows sorted by step."""
        return sorted(self.rows, key=lambda row: row["step"])

    def print_rows(self, with_earlier: bool, order_by: str) -> None:
        """Prints the rows as a table, and adds them to those of the command's other directories.

        Args:
            with_earlier: whether to print those of earlier evaluations too.
            order_by: the order of the rows, one of `report.ORDERS`.

        Raises:
            RunError: a checkpoint could not be evaluated.
        """
        settings = self.settings
        rows = self.results.rows_with(settings) if with_earlier else self.sorted_rows()
        sharing.collect_rows(rows)
        if rows:
            title = f"{settings['model_dir']}: {settings['task']}, {settings['split']} split"
            report.print_checkpoints(title, rows, order_by=order_by)
        if self.num_reused:
            console.say(
                f"{self.num_reused} of {len(self.rows)} results were known (--again scores these "
                "checkpoints again)"
            )
        if self.results.rows:
            console.say(f"Results are in {self.results.path} and {self.results.table_path}")
        if self.problems:
            raise RunError(
                f"{len(self.problems)} of {len(self.problems) + len(self.rows)} checkpoints could "
                f"not be evaluated: {'; '.join(self.problems)}"
            )

    def close(self) -> None:
        """Leaves the scorer's context and closes the event file."""
        self._exit_stack.close()
        self.results.close()


def _say_nothing(message: str) -> None:
    del message


def _change_counts(text: TokenizedSplit) -> Row:
    """What the vocabulary does not give back of the text, for a row."""
    if text.changes is None:
        return {}
    return {
        "changed_documents": text.changes.changed,
        "changed_bytes": text.changes.changed_bytes,
        "unknown_tokens": text.changes.unknown,
    }


def _summary_line(row) -> str:
    parts = [f"step {row['step']:,}  {row['nats_per_token']:.4f} nats per token"]
    if math.isfinite(row["bits_per_byte"]):
        parts.append(f"{row['bits_per_byte']:.4f} bits per byte")
    if ACCURACY in row:
        parts.append(f"accuracy {row[ACCURACY]:.2%}")
    parts.append(f"{row['tokens'] / max(row['evaluation_seconds'], 1e-3):,.0f} tokens/s")
    if activation_dtype(row) != FLOAT32:
        parts.append(f"({activation_dtype(row)} activations)")
    if row["not_as_trained"]:
        parts.append(f"({row['not_as_trained']})")
    return "  ".join(parts)
