"""Printed texts: the order on the terminal, JSON, and the last line."""

import json
import types

import pytest

from primer.generation import output
from primer.generation.request import Request

ASKED = Request(prompts=("a", "b"), num_samples=1, seed=7)


def feed(printer, *pieces):
    """Adds (prompt index, piece, reason) to a printer."""
    texts = {}
    with printer:
        for prompt, piece, reason in pieces:
            texts[prompt] = texts.get(prompt, "") + piece
            sequence = types.SimpleNamespace(
                reason=reason,
                new_tokens=len(texts[prompt]),
                ids=[9, *map(int, texts[prompt])],
                prompt_length=1,
                log_probability=-1.5,
                detokenizer=types.SimpleNamespace(text=texts[prompt], id_offset=0),
            )
            printer.add_piece(prompt, 0, sequence, piece)


TURNS = [(0, "1", None), (1, "2", None), (0, "3", None), (1, "4", "end"), (0, "5", "length")]


def test_texts_are_printed_one_after_the_other(capsys):
    feed(output.TextPrinter(ASKED, 40), *TURNS)
    printed = capsys.readouterr()
    assert printed.out == "--- prompt 1, sample 1\na135\n--- prompt 2, sample 1\nb24\n"
    assert printed.err.startswith("5 tokens, the first after") and "step 40, seed 7" in printed.err


def test_the_first_text_is_printed_as_it_comes(capsys):
    printer = output.TextPrinter(Request(prompts=("a",), seed=7), 40)
    feed(printer, (0, "1", None))
    assert capsys.readouterr().out == "a1"


def test_json_has_a_line_for_each_text_when_it_ends(capsys):
    feed(output.JsonPrinter(ASKED, 40), *TURNS)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    common = {"sample": 0, "step": 40, "seed": 7, "log_probability": -1.5}
    assert rows == [
        {"prompt": "b", "text": "24", "ids": [2, 4], "tokens": 2, "reason": "end", **common},
        {"prompt": "a", "text": "135", "ids": [1, 3, 5], "tokens": 3, "reason": "length", **common},
    ]


def test_an_error_has_no_last_line(capsys):
    with pytest.raises(KeyError), output.JsonPrinter(ASKED, 40):
        raise KeyError("x")
    assert capsys.readouterr().err == ""
