"""Trains the vocabulary of the task `sotu` on its training split: 8,192 unigram pieces.

    python -m primer.data.vocabulary_training.sotu_vocabulary [FILE]

writes the model, by default over the one that the project ships. `sentencepiece_training` describes
the ids and why the vocabulary is lossless.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from primer.data.sources import sotu
from primer.data.vocabularies.task_vocabulary import SOTU_MODEL
from primer.data.vocabulary_training import sentencepiece_training

# The SentencePiece release that trained the shipped model; others may choose other pieces.
TRAINED_WITH = "0.2.3"
PIECES = 8192


def training_texts() -> Iterator[str]:
    """Yields the addresses of the training split, in order."""
    for path in sotu.paths("train"):
        yield Path(path).read_text(encoding="utf-8")


def train(texts: Iterable[str], pieces: int = PIECES) -> bytes:
    """Trains a SentencePiece model and returns its file's content, always the same one.

    Args:
        texts: whole documents.
        pieces: total number of ids, including the 256 bytes and 5 special ones.
    """
    # The longest address has 216 kB, less than SentencePiece's limit for a text.
    return sentencepiece_training.train(texts, pieces, character_coverage=1.0)


def main(arguments: list[str]) -> None:
    """Writes the model to the file in `arguments`, or over the one that the project ships."""
    target = Path(arguments[0] if arguments else SOTU_MODEL)
    content = train(training_texts())
    target.write_bytes(content)
    print(f"{target}: {PIECES} pieces, {len(content)} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
