"""Streaming detokenization: whole characters only, and nothing of a stop string."""

from collections.abc import Iterable

import seqio

from primer.generation.token_numbers import TokenNumbers

_CONTEXT = 8  # Earlier tokens that are decoded with the new ones, for the spaces between them.
_INVALID = "\ufffd"  # Decoded for bytes that are not a whole character.


class Detokenizer:
    """Turns the tokens of one sequence into pieces of text that later tokens do not change.

    Args:
        vocabulary: decodes the tokens.
        prompt: the token ids before the first new one.
        stops: strings that end the text; neither they nor what follows is returned.

    Attributes:
        text: all text returned so far.
        stopped: whether a stop string was found.
        id_offset: what a token is higher than in the vocabulary's own file.
    """

    def __init__(
        self,
        vocabulary: seqio.Vocabulary | TokenNumbers,
        prompt: Iterable[int] = (),
        stops: Iterable[str] = (),
    ) -> None:
        self._decode = vocabulary.decode
        self.id_offset = getattr(vocabulary, "id_offset", 0)
        self._stops = [stop for stop in stops if stop]
        self._ids = [int(i) for i in prompt]
        self._num_decoded = len(self._ids)  # Tokens whose text was returned or is in _pending.
        self._pending = ""
        self.text = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """Adds the next token; returns the text that is final now, which may be empty."""
        if self.stopped:
            return ""
        self._ids.append(int(token))
        new = self._new_text()
        if new.endswith(_INVALID):
            return ""  # Part of a character; the next token may complete it.
        self._num_decoded = len(self._ids)
        return self._emit(self._pending + new, is_last=False)

    def finish(self) -> str:
        """Returns the text that is still pending after the last token."""
        if self.stopped:
            return ""
        rest = self._pending + self._new_text()
        self._num_decoded = len(self._ids)
        return self._emit(rest, is_last=True)

    def _new_text(self):
        """The text of the tokens that were not decoded yet."""
        start = max(0, self._num_decoded - _CONTEXT)
        decoded = self._num_decoded > start
        before = self._decode(self._ids[start : self._num_decoded]) if decoded else ""
        return self._decode(self._ids[start:])[len(before) :]

    def _emit(self, text, is_last):
        """Returns text up to a stop string, or up to a possible beginning of one."""
        places = [text.find(stop) for stop in self._stops]
        if any(place >= 0 for place in places):
            text, self.stopped = text[: min(place for place in places if place >= 0)], True
            is_last = True
        kept = 0 if is_last else _partial_stop_length(text, self._stops)
        emitted, self._pending = text[: len(text) - kept], text[len(text) - kept :]
        self.text += emitted
        return emitted


def _partial_stop_length(text, stops):
    """The number of characters at the end of a text that may begin a stop string."""
    lengths = (
        length
        for stop in stops
        for length in range(min(len(stop) - 1, len(text)), 0, -1)
        if text.endswith(stop[:length])
    )
    return max(lengths, default=0)
