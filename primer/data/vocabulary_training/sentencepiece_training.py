"""Trains SentencePiece vocabularies: unigram (Kudo 2018) and BPE (Sennrich et al. 2016).

Ids 0, 1 and 2 are padding, end and unknown, as in T5's vocabulary. Unlike T5's they lose nothing,
unless one asks for it: paragraph marks and runs of blanks have pieces, and a character that has
none becomes its bytes. What a model scores is therefore the text itself, and bits per byte are
comparable with those of any lossless vocabulary.
"""

import io
import re
from collections.abc import Iterable

import sentencepiece

from primer.common.files import first_line
from primer.data.vocabulary_training import text_sample
from primer.errors import RunError, UsageError

KINDS = ("unigram", "bpe")
COVERAGE = 0.9995  # SentencePiece's own.


def train(
    texts: Iterable[bytes | str],
    size: int,
    kind: str = "unigram",
    byte_fallback: bool = True,
    character_coverage: float = COVERAGE,
) -> bytes:
    """Trains a model, the same one each time, and returns its file's content.

    Args:
        texts: documents of at most `text_sample.PIECE` bytes. Words that follow a line end are
            learned as they stand there, without the blank that precedes other words.
        size: how many ids the vocabulary has, the special ones and the 256 bytes among them.
        kind: "unigram" or "bpe".
        byte_fallback: a character without a piece becomes its bytes; without it, unknown.
        character_coverage: the share of the text's characters that get pieces, from 0.98 to 1.

    Raises:
        UsageError: the texts give no vocabulary of this size.
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
            max_sentence_length=text_sample.PIECE,  # Longer ones would be skipped.
            input_sentence_size=0,
            shuffle_input_sentence=False,
            num_threads=1,  # Several add up floats in an order of their own.
            minloglevel=1,
        )
    except RuntimeError as error:
        raise _explained(error, size) from error
    return model.getvalue()


def _explained(error, size):
    """SentencePiece's message as one that names the command's options."""
    message = str(error)
    most = re.search(r"value <= (\d+)", message)
    if most:
        return UsageError(
            f"--size is {size}, and the text is too small for so many pieces: set it to <= "
            f"{most[1]}, or give more text"
        )
    least = re.search(r"required_chars\. (\d+) vs (\d+)", message)
    if least:
        return UsageError(
            f"--size is {size}, and the characters of the text alone need {least[2]} ids: set it "
            f"to > {least[2]}, or cover fewer of them (--character_coverage, down to 0.98)"
        )
    if "sentences_.empty()" in message:
        return UsageError("the text has no word in it: give more text")
    return RunError(f"SentencePiece cannot train this vocabulary: {first_line(error)}")
