"""Text as its tokens come: whole characters only, and nothing of a stop string."""

_CONTEXT = 8  # Tokens before the new ones that are decoded with them, for the spaces between.
_BROKEN = "\ufffd"


class TextStream:
    """Turns the tokens of one text into pieces of text that will not change any more.

    Args:
        vocabulary: a seqio vocabulary.
        prompt: the token ids before the first new one.
        stops: strings that end the text; neither they nor what follows is given out.

    Attributes:
        text: all that was given out so far.
        stopped: whether a stop string has come.
    """

    def __init__(self, vocabulary, prompt=(), stops=()):
        self._decode = vocabulary.decode
        self._stops = [stop for stop in stops if stop]
        self._ids = [int(i) for i in prompt]
        self._shown = len(self._ids)  # Tokens whose text is out, or waits in _held.
        self._held = ""
        self.text = ""
        self.stopped = False

    def push(self, token) -> str:
        """Takes the next token; returns the text that can be shown now, often none."""
        if self.stopped:
            return ""
        self._ids.append(int(token))
        new = self._new_text()
        if new.endswith(_BROKEN):
            return ""  # Part of a character; the next token may complete it.
        self._shown = len(self._ids)
        return self._give(self._held + new, hold=True)

    def finish(self) -> str:
        """Returns what was held back, when no more tokens come."""
        if self.stopped:
            return ""
        rest = self._held + self._new_text()
        self._shown = len(self._ids)
        return self._give(rest, hold=False)

    def _new_text(self):
        """The text of the tokens that are not out yet."""
        start = max(0, self._shown - _CONTEXT)
        before = self._decode(self._ids[start : self._shown]) if self._shown > start else ""
        return self._decode(self._ids[start:])[len(before) :]

    def _give(self, text, hold):
        places = [text.find(stop) for stop in self._stops]
        if any(place >= 0 for place in places):
            text, self.stopped = text[: min(place for place in places if place >= 0)], True
            hold = False
        kept = _beginning_of_a_stop(text, self._stops) if hold else 0
        given, self._held = text[: len(text) - kept], text[len(text) - kept :]
        self.text += given
        return given


def _beginning_of_a_stop(text, stops):
    """How many characters at the end of a text may be the beginning of a stop string."""
    lengths = (
        length
        for stop in stops
        for length in range(min(len(stop) - 1, len(text)), 0, -1)
        if text.endswith(stop[:length])
    )
    return max(lengths, default=0)
