"""Trains SentencePiece vocabularies: unigram (Kudo 2018) and BPE (Sennrich et al. 2016).

Ids 0, 1 and 2 are padding, end and unknown, as in T5's vocabulary. Unlike T5's, the vocabularies
are lossless by default: line ends and runs of blanks have pieces, and a character without a piece
is encoded as its bytes. A model's score is therefore that of the exact text, and its bits per byte
are comparable with those of any lossless vocabulary. One character is an exception: SentencePiece
writes a blank as U+2581 and reads a text's own U+2581 as a blank (`vocabularies.round_trip` finds
such texts). It also trains on no text that has U+2585, its mark of an unknown character; training
reads a blank there, so that the text is not lost.
"""

import io
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator

import sentencepiece

from primer.common import console
from primer.common.files import first_line
from primer.data.vocabulary_training import text_sample
from primer.errors import RunError, UsageError

KINDS = ("unigram", "bpe")
COVERAGE = 0.9995  # SentencePiece's default.
_RESERVED = "\u2585".encode()  # Its mark of an unknown character.


def train(
    texts: Iterable[bytes | str],
    size: int,
    kind: str = "unigram",
    byte_fallback: bool = True,
    character_coverage: float = COVERAGE,
    say: Callable[[str], None] = console.say,
) -> bytes:
    """Trains a model and returns its file's content; the same texts always give the same file.

    Args:
        texts: documents of at most `text_sample.PIECE` bytes. A word after a line end is learned
            without the blank that precedes other words.
        size: total number of ids, including the special ones and the 256 bytes.
        kind: "unigram" or "bpe".
        byte_fallback: whether a character without a piece becomes its bytes or is unknown.
        character_coverage: the share of the text's characters that get pieces, from 0.98 to 1.
        say: prints a line for the user: what training has left out or replaced.

    Raises:
        UsageError: the texts do not give a vocabulary of this size.
        RunError: SentencePiece fails for another reason.
    """
    model = io.BytesIO()
    given = _CountedTexts(texts)
    try:
        log = _train_with_log(
            sentence_iterator=iter(given),
            model_writer=model,
            model_type=kind,
            vocab_size=size,
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            user_defined_symbols=["\n\n", "\n"],
            byte_fallback=byte_fallback,
            character_coverage=character_coverage,
            max_sentence_length=text_sample.PIECE,  # SentencePiece skips longer texts.
            input_sentence_size=0,
            shuffle_input_sentence=False,
            num_threads=1,  # Several threads add floats in varying order.
        )
    except RuntimeError as error:
        raise _usage_error(error, size) from error
    for line in _describe_losses(given, log):
        say(line)
    return model.getvalue()


class _CountedTexts:
    """Yields texts as SentencePiece trains on all of them, and counts them.

    Attributes:
        texts: number of texts that are not empty.
        reserved: number of occurrences of U+2585, each replaced by a blank.
    """

    def __init__(self, texts: Iterable[bytes | str]) -> None:
        self._texts = texts
        self.texts = self.reserved = 0

    def __iter__(self) -> Iterator[bytes]:
        for text in self._texts:
            content = text.encode() if isinstance(text, str) else text
            self.texts += bool(content)
            self.reserved += content.count(_RESERVED)
            yield content.replace(_RESERVED, b" ")


def _train_with_log(**settings) -> str:
    """Trains, and returns SentencePiece's own log, which it writes to descriptor 2."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            sentencepiece.SentencePieceTrainer.train(minloglevel=0, **settings)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            sentencepiece.set_min_log_level(1)  # The level is the process's.
        file.seek(0)
        return file.read().decode("utf-8", "replace")


def _describe_losses(given, log) -> list[str]:
    """Sentences on the difference between the texts given and the texts trained on."""
    found = []
    if given.reserved:
        found.append(
            f"{given.reserved:,} characters U+2585, which SentencePiece reserves: it trains on "
            "blanks in their place, and they get no piece"
        )
    loaded = re.search(r"Loaded all (\d+) sentences", log)
    if loaded is None:
        found.append("SentencePiece does not say how many of the texts it trains on")
    elif int(loaded[1]) != given.texts:
        found.append(f"SentencePiece trains on {int(loaded[1]):,} of the {given.texts:,} texts")
    return found


def _usage_error(error, size):
    """Translates SentencePiece's error into one that names the command's options."""
    message = str(error)
    most = re.search(r"value <= (\d+)", message)
    if most:
        return UsageError(
            f"--size is {size}, and the text is too small for so many pieces: set it to <= "
            f"{most[1]}, or add text"
        )
    least = re.search(r"required_chars\. (\d+) vs (\d+)", message)
    if least:
        return UsageError(
            f"--size is {size}, and the characters of the text alone need {least[2]} ids: set it "
            f"to > {least[2]}, or cover fewer of them (--character_coverage, down to 0.98)"
        )
    if "sentences_.empty()" in message:
        return UsageError("the text has no word in it: add text")
    return RunError(f"SentencePiece cannot train this vocabulary: {first_line(error)}")
