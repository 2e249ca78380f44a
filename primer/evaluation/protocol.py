"""How a text is cut into windows, and its total under a scorer.

"stream": the split is one stream of documents, each with its end token, cut into windows of L
tokens. A window does not see the one before it; the documents of one window see each other. Every
token is scored exactly once. (T5's `lm` objective ends every training window with an end token, and
none stands between its documents: only the text's own end tokens are scored here.)
"""

import numpy as np

from primer.evaluation.totals import Totals

NAME = "stream"


def describe(split, length, caveats=()) -> str:
    """What a number of this protocol is printed with: a sentence, and the model's caveats."""
    how = (
        f"Whole {split} split, every token scored once: documents with their end tokens in one "
        f"stream, cut into windows of {length} tokens; no context across windows."
    )
    return " ".join([how, *caveats])


def stream_windows(ids, length):
    """Cuts tokens into windows.

    Args:
      ids: [tokens] int32.
      length: tokens per window.

    Returns:
      (targets, segments), both [windows, length] int32: the tokens, 0 after the last of them, and
      1 where there is a token.
    """
    windows = -(-len(ids) // length)
    targets = np.zeros(windows * length, np.int32)
    targets[: len(ids)] = ids
    segments = np.zeros_like(targets)
    segments[: len(ids)] = 1
    return targets.reshape(windows, length), segments.reshape(windows, length)


def evaluate(scorer, text, progress=None) -> Totals:
    """The total of a `Text` under the checkpoint that the scorer has restored.

    Args:
      scorer: a `Scorer`; its length is that of the windows.
      text: what to score.
      progress: called with the share that is done after each batch, or None.
    """
    targets, segments = stream_windows(text.ids, scorer.length)
    nats = 0.0
    for start in range(0, len(targets), scorer.rows):
        rows = slice(start, start + scorer.rows)
        # Padding is 0 in the result; float64 keeps the sum exact to the last printed digit.
        nats += float(np.sum(scorer.nats(targets[rows], segments[rows]), dtype=np.float64))
        if progress:
            progress(min(start + scorer.rows, len(targets)) / len(targets))
    return Totals(nats, len(text.ids), text.bytes, text.words, len(text.lengths))
