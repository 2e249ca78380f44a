"""The decoding loop: continues a batch of sequences step by step.

Each sequence ends on its own: at the end token, at a stop string, or at the maximum of new tokens.
A sequence that fills the model's length continues with its last half as the context, unless the
model has a memory: then the states of the layers go on without end, and a prompt may be of any
length.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import seqio

from primer.generation.detokenizer import Detokenizer
from primer.generation.sampling import Sampling
from primer.generation.step_graph import StepGraph
from primer.generation.token_numbers import TokenNumbers

END, LENGTH, STOP = "end", "length", "stop"


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
        graph: has at least as many rows as there are sequences.
        sequences: changed in place.
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
    _read_windows(graph, sequences)
    while any(sequence.reason is None for sequence in sequences):
        if not graph.is_endless and _slide_full_windows(graph, sequences):
            _read_windows(graph, sequences)
        logits = _next_logits(graph, sequences)
        for index, sequence in enumerate(sequences):
            is_prompt = sequence.num_read < len(sequence.window)
            sequence.num_read += 1
            if sequence.reason is None and not is_prompt:
                token = sampling.draw(_masked(logits[index], vocabulary), sequence.rng)
                sequence.log_probability += _log_probability(logits[index], token)
                yield index, _add_token(sequence, token, max_tokens, vocabulary.eos_id)


def dropped_prompt_tokens(prompt_length: int, length: int, max_tokens: int) -> int:
    """Returns how many tokens at the beginning of a prompt do not fit.

    A prompt that leaves no space in the model's length keeps its end, so that the new tokens, or
    half a length of them, fit after it.
    """
    space = min(max_tokens, length // 2)
    return 0 if prompt_length + 1 <= length else prompt_length + space - length


def _slide_full_windows(graph, sequences):
    """Moves full windows to the last half of their tokens; returns whether there was one."""
    full = [s for s in sequences if s.reason is None and len(s.window) >= graph.length]
    for sequence in full:
        sequence.start = len(sequence.ids) - graph.length // 2
    return bool(full)


def _read_windows(graph, sequences):
    # The logits of an ended sequence are not used, and its window may be full.
    windows = [sequence.window if sequence.reason is None else [] for sequence in sequences]
    windows = [window[: graph.length] for window in windows]
    graph.read_prompts(windows + [[]] * (graph.rows - len(sequences)))
    for sequence, window in zip(sequences, windows, strict=True):
        sequence.num_read = len(window)


def _next_logits(graph, sequences):
    tokens, positions = np.zeros([2, graph.rows], np.int32)
    for row, sequence in enumerate(sequences):
        if sequence.reason is None:
            number = sequence.num_read
            positions[row] = number
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
