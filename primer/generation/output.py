"""Prints generated texts: token by token as running text, or as one JSON object per text."""

import json
import sys
import time
from types import TracebackType

from primer.common import console
from primer.generation.decode_loop import DecodedSequence
from primer.generation.request import Request


class _Printer:
    """Counts tokens and time, and prints the last line on standard error.

    Args:
        request: what is generated.
        step: the step of the checkpoint.
    """

    def __init__(self, request: Request, step: int) -> None:
        self._request, self._step = request, step
        self._tokens = 0
        self._began = time.monotonic()
        self._first: float | None = None

    def __enter__(self):
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            source = f"step {self._step:,}, seed {self._request.seed}"
            console.say(f"{self._tokens:,} tokens, {self._speed()}; {source}")

    def _speed(self):
        """The time until the first token, which includes the graph's, and the later speed."""
        text = f"the first after {self._first - self._began:.1f} s"
        seconds = time.monotonic() - self._first
        if self._tokens > 1 and seconds:
            text += f", then {(self._tokens - 1) / seconds:,.0f} a second"
        return text

    def add_piece(self, prompt: int, sample: int, sequence: DecodedSequence, piece: str) -> None:
        """Takes the next piece of one text; `sequence.reason` is set with its last."""
        self._first = self._first or time.monotonic()
        self._tokens += 1
        self._print(prompt, sample, sequence, piece)

    def _print(self, prompt, sample, sequence, piece):
        raise NotImplementedError


class TextPrinter(_Printer):
    """Prints prompts and texts on standard output, each token as soon as it is generated.

    Texts of one batch take turns: the first unfinished one is printed, the others are buffered.
    """

    def __init__(self, request: Request, step: int) -> None:
        super().__init__(request, step)
        order = [(p, s) for p in range(len(request.prompts)) for s in range(request.num_samples)]
        self._order = iter(order)
        self._buffers: dict[tuple[int, int], str] = {}
        self._ended: set[tuple[int, int]] = set()
        self._has_headings = len(order) > 1
        self._is_open = False

    def _open(self, key):
        """Prints the heading and the prompt of the next text; None: there is none."""
        self._current = key
        if key is None:
            return
        if self._has_headings:
            prompt, sample = key
            _write(f"--- prompt {prompt + 1}, sample {sample + 1}\n")
        _write(self._request.prompts[key[0]])

    def _print(self, prompt, sample, sequence, piece):
        # Not before the first token: building the graph may print lines on standard error.
        if not self._is_open:
            self._is_open = True
            self._open(next(self._order))
        key = (prompt, sample)
        self._buffers[key] = self._buffers.get(key, "") + piece
        if sequence.reason:
            self._ended.add(key)
        while self._current is not None:
            _write(self._buffers.pop(self._current, ""))
            if self._current not in self._ended:
                return
            _write("\n")
            self._open(next(self._order, None))


class JsonPrinter(_Printer):
    """Prints one JSON object per text, one per line, in the order in which the texts end."""

    def _print(self, prompt, sample, sequence, piece):
        if not sequence.reason:
            return
        new, offset = sequence.ids[sequence.prompt_length :], sequence.detokenizer.id_offset
        row = {
            "prompt": self._request.prompts[prompt],
            "sample": sample,
            "text": sequence.detokenizer.text,
            "ids": [number - offset for number in new],
            "tokens": sequence.new_tokens,
            "log_probability": sequence.log_probability,
            "reason": sequence.reason,
            "step": self._step,
            "seed": self._request.seed,
        }
        _write(json.dumps(row, ensure_ascii=False) + "\n")


def _write(text):
    if text:
        sys.stdout.write(text)
        sys.stdout.flush()
