"""How texts are shown: running, token by token, or as one JSON object each."""

import json
import sys
import time

from primer.common import console


class _Shown:
    """What both ways share: the count, the time and the last line on standard error."""

    def __init__(self, asked, step):
        self._asked, self._step = asked, step
        self._tokens = 0
        self._begun, self._first = time.monotonic(), None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            what = f"step {self._step:,}, seed {self._asked.seed}"
            console.say(f"{self._tokens:,} tokens, {self._speed()}; {what}")

    def _speed(self):
        """The wait for the first token, which is for the graph, apart from the pace of the rest."""
        text = f"the first after {self._first - self._begun:.1f} s"
        seconds = time.monotonic() - self._first
        if self._tokens > 1 and seconds:
            text += f", then {(self._tokens - 1) / seconds:,.0f} a second"
        return text

    def piece(self, prompt, sample, text, piece):
        """Takes a piece of one text; `text.reason` is set with its last."""
        self._first = self._first or time.monotonic()
        self._tokens += 1
        self._take(prompt, sample, text, piece)

    def _take(self, prompt, sample, text, piece):
        raise NotImplementedError


class Running(_Shown):
    """Prints prompts and texts on standard output, each token as it comes.

    Texts of one batch come by turns: the first that has not ended is shown, the others wait.
    """

    def __init__(self, asked, step):
        super().__init__(asked, step)
        order = [(p, s) for p in range(len(asked.prompts)) for s in range(asked.num_samples)]
        self._order = iter(order)
        self._waiting, self._ended = {}, set()
        self._several = len(order) > 1
        self._begun_to_show = False

    def _open(self, key):
        """Begins to show a text."""
        self._current = key
        if key is None:
            return
        if self._several:
            prompt, sample = key
            _put(f"--- prompt {prompt + 1}, sample {sample + 1}\n")
        _put(self._asked.prompts[key[0]])

    def _take(self, prompt, sample, text, piece):
        # Not before the first token: making the graph may have something to say on standard error.
        if not self._begun_to_show:
            self._begun_to_show = True
            self._open(next(self._order))
        key = (prompt, sample)
        self._waiting[key] = self._waiting.get(key, "") + piece
        if text.reason:
            self._ended.add(key)
        while self._current is not None:
            _put(self._waiting.pop(self._current, ""))
            if self._current not in self._ended:
                return
            _put("\n")
            self._open(next(self._order, None))


class Json(_Shown):
    """Prints one JSON object a text, a line each, in the order in which the texts end."""

    def _take(self, prompt, sample, text, piece):
        if text.reason:
            _put(
                json.dumps(
                    {
                        "prompt": self._asked.prompts[prompt],
                        "sample": sample,
                        "text": text.stream.text,
                        "tokens": text.new_tokens,
                        "reason": text.reason,
                        "step": self._step,
                        "seed": self._asked.seed,
                    },
                    ensure_ascii=False,
                )
                + "\n"
            )


def _put(text):
    if text:
        sys.stdout.write(text)
        sys.stdout.flush()
