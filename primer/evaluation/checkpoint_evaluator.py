"""Checkpoint after checkpoint under one scorer; what was found before is not scored again."""

import contextlib
import math
import time

from primer import __version__
from primer.checkpoints import checkpoint_files
from primer.common import console
from primer.errors import RunError, UsageError
from primer.evaluation.progress import Progress


class CheckpointRows:
    """Finds the row of each checkpoint.

    Args:
        protocol, text: what is scored.
        named: a dict with "model_dir", "task", "split" and "window", for every row.
        results: a `Results`, for the rows of before and the new ones.
        open_scorer: gives a block with the `Scorer`; called when the first checkpoint needs it.
        again: whether checkpoints are scored whose row is there.

    Attributes:
        results: as given.
        settings: what all rows of this text and protocol share.
        rows: those found, in the order of the calls.
        problems: a sentence for each checkpoint that could not be read.
        known: how many rows were there before.
    """

    def __init__(self, protocol, text, named, results, open_scorer, again=False):
        self._protocol = protocol
        self._text = text
        self.results = results
        self._open_scorer = open_scorer
        self._again = again
        self._scorer, self._to_close = None, contextlib.ExitStack()
        self.settings = {
            **named,
            "protocol": protocol.label,
            "text_checksum": text.checksum,
            "primer": __version__,
        }
        self.rows, self.problems, self.known = [], [], 0

    def find(self, path):
        """The row of a checkpoint; None, and a message, where it cannot be read."""
        step = checkpoint_files.step_of(path)
        try:
            weights = (
                checkpoint_files.fingerprint(path) if checkpoint_files.has_index(path) else None
            )
            row = self._row_of_before(step, weights)
            if row is None:
                checkpoint_files.check_whole(path)
        except RunError as error:
            return self._skip(step, error)
        if row is not None:
            self.known += 1
        else:
            if self._scorer is None:  # Not one of the checkpoint's problems if it fails.
                self._scorer = self._to_close.enter_context(self._open_scorer())
            try:
                self._scorer.restore(path)
            except (RunError, UsageError) as error:
                return self._skip(step, error)
            row = self._score(step, weights)
        self.rows.append(row)
        return row

    def _row_of_before(self, step, weights):
        if self._again or weights is None:
            return None
        return self.results.find(self.settings, step, weights)

    def _skip(self, step, error):
        console.say(f"primer: {error}; skipped")
        self.problems.append(f"step {step}: {error}")

    def _score(self, step, weights):
        """The row of the checkpoint that was restored; it is kept."""
        scorer, began = self._scorer, time.monotonic()
        with Progress(f"step {step:,}", len(self._text.ids)) as progress:
            totals = self._protocol.evaluate(scorer, self._text, progress)
        split, caveats = self.settings["split"], scorer.caveats
        row = {
            "step": step,
            **totals.as_dict(),
            **self.settings,
            "weights": weights,
            "how": self._protocol.describe(split, scorer.length, caveats),
            "evaluation_seconds": round(time.monotonic() - began, 3),
        }
        self.results.add(row)
        console.say(_in_one_line(row))
        return row

    def in_order(self) -> list:
        """The rows in the order of their steps."""
        return sorted(self.rows, key=lambda row: row["step"])

    def close(self):
        """Leaves the scorer's block and ends the file of events."""
        self._to_close.close()
        self.results.close()


def _in_one_line(row) -> str:
    parts = [f"step {row['step']:,}  {row['nats_per_token']:.4f} nats per token"]
    if math.isfinite(row["bits_per_byte"]):
        parts.append(f"{row['bits_per_byte']:.4f} bits per byte")
    parts.append(f"{row['tokens'] / max(row['evaluation_seconds'], 1e-3):,.0f} tokens/s")
    return "  ".join(parts)
