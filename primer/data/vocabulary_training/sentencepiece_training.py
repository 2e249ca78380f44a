"""Trains SentencePiece vocabularies: unigram (Kudo 2018) and BPE (Sennrich et al. 2016).

Ids 0, 1 and 2 are padding, end and unknown, as in T5's vocabulary. Unlike T5's, the vocabularies
are lossless by default: line ends and runs of blanks have pieces, and a character without a piece
is encoded as its bytes. A model's score is therefore that of the exact text, and its bits per byte
are comparable with those of any lossless vocabulary.
"""

import io
import re
from collections.abc import Iterable

import sentencepiece

from primer.common.files import first_line
from primer.data.vocabulary_training import text_sample
from primer.errors import RunError, UsageError

KINDS = ("unigram", "bpe")
COVERAGE = 0.9995  # SentencePiece's default.


def train(
    texts: Iterable[bytes | str],
    size: int,
    kind: str = "unigram",
    byte_fallback: bool = True,
    character_coverage: float = COVERAGE,
) -> bytes:
    """Trains a model and returns its file's content; the same texts always give the same file.

    Args:
        texts: documents of at most `text_sample.PIECE` bytes. A word after a line end is learned
            without the blank that precedes other words.
        size: total number of ids, including the special ones and the 256 bytes.
        kind: "unigram" or "bpe".
        byte_fallback: whether a character without a piece becomes its bytes or is unknown.
        character_coverage: the share of the text's characters that get pieces, from 0.98 to 1.

    Raises:
        UsageError: the texts do not give a vocabulary of this size.
        RunError: SentencePiece fails for another reason.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
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
            minloglevel=1,
        )
    except RuntimeError as error:
        raise _usage_error(error, size) from error
    return model.getvalue()


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
