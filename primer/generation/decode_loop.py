"""Texts that go on from their prompts: the loop around the step graph.

Every row ends on its own: at the end token, at a stop string, or when it has as many new tokens as
were asked for. A text that fills the model's length goes on with its last half as the context,
like a reader who remembers the last pages.
"""

import dataclasses

import numpy as np

END, LENGTH, STOP = "end", "length", "stop"


@dataclasses.dataclass
class Text:
    """One text on its way.

    Attributes:
        ids: the prompt's token ids, and the new ones behind them.
        prompt_length: how many of them are the prompt's.
        chance: a numpy Generator.
        stream: a TextStream.
        reason: why it ended: "end" (the end token), "stop" (a stop string), "length"; None while
            it goes on.
        start: the index of the first token that the model sees.
    """

    ids: list
    prompt_length: int
    chance: np.random.Generator
    stream: object
    reason: str | None = None
    start: int = 0

    @property
    def new_tokens(self) -> int:
        """How many tokens were added; the end token counts."""
        return len(self.ids) - self.prompt_length

    @property
    def window(self) -> list:
        """The tokens that the model sees."""
        return self.ids[self.start :]


def continue_texts(graph, texts, sampling, max_tokens, vocabulary):
    """Continues texts until each has ended.

    Args:
        graph: a StepGraph with at least as many rows as there are texts.
        texts: a list of Text, changed in place.
        sampling: a Sampling.
        max_tokens: the most new tokens of a text, its end token included.
        vocabulary: a seqio vocabulary, for its size and its end token.

    Yields:
        (index of the text, piece of text): as they come; a piece may be empty. After the last
        piece of a text its `reason` is set.
    """
    for text in texts:
        text.start = first_of_window(len(text.ids), graph.length, max_tokens)
    _read(graph, texts)
    while any(text.reason is None for text in texts):
        if _slide(graph, texts):
            _read(graph, texts)
        logits = _next_logits(graph, texts)
        for index, text in enumerate(texts):
            if text.reason is None:
                token = sampling.draw(_allowed(logits[index], vocabulary), text.chance)
                yield index, _add(text, token, max_tokens, vocabulary.eos_id)


def first_of_window(prompt_length, length, max_tokens) -> int:
    """How many tokens of a prompt are left out at its beginning.

    A prompt that leaves no room in the model's length keeps its end, so that the new tokens, or
    half a length of them, fit behind it.
    """
    room = min(max_tokens, length // 2)
    return 0 if prompt_length + 1 <= length else prompt_length + room - length


def _slide(graph, texts):
    """Moves the windows that are full; returns whether there was one."""
    full = [t for t in texts if t.reason is None and len(t.window) >= graph.length]
    for text in full:
        text.start = len(text.ids) - graph.length // 2
    return bool(full)


def _read(graph, texts):
    # An ended text may fill its window: what its row holds is not looked at any more.
    windows = [text.window if text.reason is None else [] for text in texts]
    graph.read_prompts(windows + [[]] * (graph.rows - len(texts)))


def _next_logits(graph, texts):
    tokens, positions = np.zeros([2, graph.rows], np.int32)
    for row, text in enumerate(texts):
        if text.reason is None:
            window = text.window
            positions[row] = len(window)
            tokens[row] = window[-1] if window else 0
    return graph.next_logits(tokens, positions)


def _allowed(logits, vocabulary):
    """The logits of the vocabulary's own tokens; padding (0) is none of a text."""
    logits = logits[: vocabulary.vocab_size].astype(np.float64)
    logits[0] = -np.inf
    return logits


def _add(text, token, max_tokens, end):
    """Adds a token to a text; returns the piece that it makes visible."""
    text.ids.append(token)
    if token == end:
        text.reason = END
        return text.stream.finish()
    piece = text.stream.push(token)
    if text.stream.stopped:
        text.reason = STOP
    elif text.new_tokens >= max_tokens:
        text.reason = LENGTH
        piece += text.stream.finish()
    return piece
