"""The vocabulary of the task sotu: trained on its training split alone, and repeatable."""

import pathlib
import subprocess
import sys

import pytest
import sentencepiece

from primer.data.sources import sotu
from primer.data.vocabularies.task_vocabulary import SOTU_MODEL
from primer.data.vocabulary_training import sotu_vocabulary
from tests.paths import ROOT


def test_training_reads_no_other_split(tmp_path, monkeypatch):
    """Replacing the addresses of the other splits does not change the training texts."""
    expected = list(sotu_vocabulary.training_texts())
    training = {pathlib.Path(path).name for path in sotu.paths("train")}
    for path in sotu.folder().glob("*.txt"):
        text = path.read_bytes() if path.name in training else b"not to be read"
        (tmp_path / path.name).write_bytes(text)
    monkeypatch.setattr(sotu, "folder", lambda: tmp_path)
    assert list(sotu_vocabulary.training_texts()) == expected
    assert len(expected) == 224


def test_training_is_repeatable():
    texts = list(sotu_vocabulary.training_texts())[:4]
    assert sotu_vocabulary.train(texts, 600) == sotu_vocabulary.train(texts, 600)
    assert sotu_vocabulary.train(texts[1:], 600) != sotu_vocabulary.train(texts, 600)


@pytest.mark.slow
def test_the_shipped_vocabulary_can_be_trained_again(tmp_path):
    if sentencepiece.__version__ != sotu_vocabulary.TRAINED_WITH:
        pytest.skip(f"trained with sentencepiece {sotu_vocabulary.TRAINED_WITH}")
    target = tmp_path / "again.model"
    command = [sys.executable, "-m", "primer.data.vocabulary_training.sotu_vocabulary", str(target)]
    subprocess.run(command, check=True, cwd=ROOT)

    def pieces(path):
        model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        return [model.id_to_piece(number) for number in range(model.get_piece_size())]

    assert pieces(target) == pieces(SOTU_MODEL)
