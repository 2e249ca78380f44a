"""The decoding loop: continues a batch of sequences step by step.

Each sequence ends on its own: at the end token, at a stop string, or at the maximum of new tokens.
Its row then serves a sequence that waits.
A sequence that fills the model's length continues with its last half as the context, unless the
model has a memory: then the states of the layers go on without end, and a prompt may be of any
length.
"""

import collections
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import seqio

from primer.generation.detokenizer import Detokenizer
from primer.generation.sampling import Sampling
from primer.generation.step_graph import StepGraph
from primer.generation.token_numbers import TokenNumbers

END, LENGTH, STOP = "end", "length", "stop"

# Sequences that wait are read when this share of the rows is free: reading computes all rows, and
# takes as long as a number of steps.
_FREE_SHARE = 1 / 4


@dataclasses.dataclass
class DecodedSequence:
    """A sequence that is being decoded.

    Attributes:
        ids: the token ids of the prompt, and the new ones after them.
        prompt_length: the number of the prompt's tokens.
        rng: the sequence's own random generator.
        detokenizer: turns the new tokens into text.
        reason: why it ended: "end" (the end token), "stop" (a stop string), "length"; None while
            it is not finished.
        start: the index of the first token in the model's window.
        num_read: how many tokens of the window the states have.
        log_probability: the sum over the new tokens of the natural logarithm of the model's
            probability, however they are sampled; what `primer score` gives them.
    """

    ids: list[int]
    prompt_length: int
    rng: np.random.Generator
    detokenizer: Detokenizer
    reason: str | None = None
    start: int = 0
    num_read: int = 0
    log_probability: float = 0.0

    @property
    def new_tokens(self) -> int:
        """The number of new tokens, the end token included."""
        return len(self.ids) - self.prompt_length

    @property
    def window(self) -> list[int]:
        """The tokens in the model's window."""
        return self.ids[self.start :]


def decode_sequences(
    graph: StepGraph,
    sequences: Sequence[DecodedSequence],
    sampling: Sampling,
    max_tokens: int,
    vocabulary: seqio.Vocabulary | TokenNumbers,
) -> Iterator[tuple[int, str]]:
    """Continues sequences until each has ended.

    Args:
        graph: decodes as many sequences at a time as it has rows.
        sequences: changed in place; they begin in this order.
        sampling: how tokens are sampled.
        max_tokens: the maximum of new tokens per sequence, its end token included.
        vocabulary: for its size and its end token.

    Yields:
        (index of the sequence, piece of text) for each new token; a piece may be empty. With the
        last piece of a sequence its `reason` is set.
    """
    for sequence in sequences:
        number = len(sequence.ids)
        sequence.start = (
            0 if graph.is_endless else dropped_prompt_tokens(number, graph.length, max_tokens)
        )
    waiting = collections.deque(range(len(sequences)))
    rows: dict[int, int] = {}  # Row of the graph -> index of the sequence that it decodes.
    while waiting or rows:
        unread = _fill_free_rows(graph, rows, waiting)
        if not graph.is_endless:
            unread |= _slide_full_windows(graph, rows, sequences)
        if unread:
            _read_windows(graph, {row: sequences[rows[row]] for row in unread})
        logits = _next_logits(graph, {row: sequences[index] for row, index in rows.items()})
        for row, index in sorted(rows.items()):
            sequence = sequences[index]
            is_prompt = sequence.num_read < len(sequence.window)
            sequence.num_read += 1
            if is_prompt:
                continue
            token = sampling.draw(_masked(logits[row], vocabulary), sequence.rng)
            sequence.log_probability += _log_probability(logits[row], token)
            yield index, _add_token(sequence, token, max_tokens, vocabulary.eos_id)
            if sequence.reason is not None:
                del rows[row]


def dropped_prompt_tokens(prompt_length: int, length: int, max_tokens: int) -> int:
    """Returns how many tokens at the beginning of a prompt do not fit.

    A prompt that leaves no space in the model's length keeps its end, so that the new tokens, or
    half a length of them, fit after it.
    """
    space = min(max_tokens, length // 2)
    return 0 if prompt_length + 1 <= length else prompt_length + space - length


def _fill_free_rows(graph, rows, waiting):
    """Gives free rows to waiting sequences if enough are free; returns the set of these rows."""
    free = [row for row in range(graph.rows) if row not in rows]
    if len(free) < _FREE_SHARE * graph.rows:
        return set()
    filled = {row: waiting.popleft() for row in free[: len(waiting)]}
    rows.update(filled)
    return set(filled)


def _slide_full_windows(graph, rows, sequences):
    """Moves full windows to the last half of their tokens; returns the set of their rows."""
    full = {row for row, index in rows.items() if len(sequences[index].window) >= graph.length}
    for row in full:
        sequence = sequences[rows[row]]
        sequence.start = len(sequence.ids) - graph.length // 2
    return full


def _read_windows(graph, sequences):
    """Reads the windows of {row: sequence}; other rows keep their states."""
    windows = {row: sequence.window[: graph.length] for row, sequence in sequences.items()}
    graph.read_prompts([windows.get(row) for row in range(graph.rows)])
    for row, sequence in sequences.items():
        sequence.num_read = len(windows[row])


def _next_logits(graph, sequences):
    """The logits of {row: sequence}; those of other rows are not used."""
    tokens, positions = np.zeros([2, graph.rows], np.int32)
    for row, sequence in sequences.items():
        positions[row] = number = sequence.num_read
        tokens[row] = sequence.window[number - 1] if number else 0
    return graph.next_logits(tokens, positions)


def _masked(logits, vocabulary):
    """The logits of the vocabulary's tokens; padding (0) is excluded."""
    logits = logits[: vocabulary.vocab_size].astype(np.float64)
    logits[0] = -np.inf
    return logits


def _log_probability(logits, token):
    """The logarithm of a token's probability among all that the model's output has."""
    # Once per token: np.logaddexp.reduce takes four times as long.
    shifted = logits.astype(np.float64) - logits.max()
    return float(shifted[token] - np.log(np.exp(shifted).sum()))


def _add_token(sequence, token, max_tokens, end):
    """Adds a token to a sequence; returns the text that it completes."""
    sequence.ids.append(token)
    if token == end:
        sequence.reason = END
        return sequence.detokenizer.finish()
    piece = sequence.detokenizer.push(token)
    if sequence.detokenizer.stopped:
        sequence.reason = STOP
    elif sequence.new_tokens >= max_tokens:
        sequence.reason = LENGTH
        piece += sequence.detokenizer.finish()
    return piece
