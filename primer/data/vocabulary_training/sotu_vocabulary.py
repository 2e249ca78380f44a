"""Trains the vocabulary of the task `sotu` on its training split: 8,192 unigram pieces.

    python -m primer.data.vocabulary_training.sotu_vocabulary [FILE]

writes the model, by default the one that the project ships. Ids 0, 1 and 2 are padding, end and
unknown, as in T5's vocabulary. Unlike T5's it loses nothing: paragraph marks and runs of blanks
have pieces, and a character that the training split does not have becomes its bytes. What a model
with this vocabulary scores is therefore the text itself, and bits per byte are comparable with
those of any lossless vocabulary.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from primer.data.sources import sotu
from primer.data.vocabularies.task_vocabulary import SOTU_MODEL
from primer.data.vocabulary_training import sentencepiece_training

# The release that trained the shipped model; another one may choose a few other pieces.
TRAINED_WITH = "0.2.3"
PIECES = 8192


def training_texts() -> Iterator[str]:
    """The addresses of the training split, in order."""
    for path in sotu.paths("train"):
        yield Path(path).read_text(encoding="utf-8")


def train(texts: Iterable[str], pieces: int = PIECES) -> bytes:
    """Trains a SentencePiece model, the same one each time, and returns its file's content.

    Args:
        texts: whole documents. Words that follow a paragraph mark are learned as they stand there,
            without the blank that precedes other words.
        pieces: how many ids the vocabulary has, the 256 bytes and 5 special ones among them.
    """
    # The longest address has 216 kB, so that none is cut.
    return sentencepiece_training.train(texts, pieces, character_coverage=1.0)


def main(arguments: list[str]) -> None:
    """Writes the model to the file named, or to the one that the project ships."""
    target = Path(arguments[0] if arguments else SOTU_MODEL)
    content = train(training_texts())
    target.write_bytes(content)
    print(f"{target}: {PIECES} pieces, {len(content)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
