"""The files of local data sets: where they are searched for, and which contents are refused."""

import hashlib
import os

import gin
import pytest

from primer.data import preflight
from primer.data.sources import local_files
from primer.data.sources.local_datasets import LOCAL_DATASETS
from tests.data.sources.local_sets import LM1B_TEST, error_of, wikitext2, write_lines


def test_without_a_folder_the_error_names_setting_and_address(monkeypatch, tmp_path):
    gin.bind_parameter("task_vocabulary.name", "bytes")
    monkeypatch.delenv(local_files.DATA_DIR_VARIABLE, raising=False)
    message = error_of("enwik8", "train")
    assert "local_data.folder is not set" in message and "enwik8.zip" in message
    monkeypatch.setenv(local_files.DATA_DIR_VARIABLE, str(tmp_path))
    assert f"no enwik8 of enwik8 below {tmp_path}" in error_of("enwik8", "train")


@pytest.mark.parametrize("task", LOCAL_DATASETS)
def test_error_names_a_missing_file_and_its_address(local_data, tmp_path, task):
    local_data(tmp_path / "nothing")
    for split in LOCAL_DATASETS[task].splits:
        message = error_of(task, split)
        assert LOCAL_DATASETS[task].splits[split].files[0].names[0] in message
        assert LOCAL_DATASETS[task].url in message and "local_data.folder" in message


def test_a_file_of_another_size_is_refused_unless_check_is_false(local_data, tmp_path):
    local_data()
    (tmp_path / "enwik8").write_bytes(b"<mediawiki>" * 50)
    message = error_of("enwik8", "train")
    assert "has 550 bytes; expected 100,000,000" in message and "local_data.check" in message
    local_data(check=False)
    preflight.check_split("enwik8", "train")
    local_data(check="no")
    assert "local_data.check is 'no'; expected True or False" in error_of("enwik8", "train")


def test_a_file_of_another_content_is_refused(local_data, shared_data, tmp_path):
    local_data()
    content = wikitext2(shared_data, "validation")
    (tmp_path / "wikitext-2").mkdir()
    path = tmp_path / "wikitext-2" / "wiki.valid.tokens"
    path.write_bytes(content)
    preflight.check_split("wikitext2", "validation")
    path.write_bytes(content.replace(b"lobster", b"Lobster", 1))
    message = error_of("wikitext2", "validation")
    assert str(path) in message and "its sha1 is" in message
    assert "expected 0418625c8b4da6e4b5c7a0b9e78d4ae8f7ee5422" in message


def test_lm1b_is_checked_by_words_and_total_size(local_data, tmp_path):
    local_data()
    write_lines(tmp_path / LM1B_TEST, ["a few words"])
    message = error_of("lm1b_words", "test")
    assert "number of words, one per line's end included, is 4; expected 159658" in message
    for file in LOCAL_DATASETS["lm1b_words"].splits["train"].files:
        write_lines(tmp_path / file.names[0], ["a few words"])
    assert "the 99 files of split 'train'" in error_of("lm1b_words", "train")


def test_an_empty_file_is_refused_without_check(shortened_files):
    (shortened_files / "text8").write_bytes(b"")
    assert "is empty" in error_of("text8", "train")


def test_invalid_block_sizes_are_refused(shortened_files):
    (shortened_files / "text8").write_bytes(b"some text")
    gin.bind_parameter("local_data.block_bytes", 10)
    assert "local_data.block_bytes is 10" in error_of("text8", "train")


def test_digests_and_words_follow_the_content_of_a_file(tmp_path):
    path = tmp_path / "a.txt"
    for content in (b"a few words\n", b"other  words\n\nhere"):
        path.write_bytes(content)
        assert local_files.file_digest(str(path), "md5") == hashlib.md5(content).hexdigest()
        lines = content.decode().count("\n")
        assert local_files.word_count(str(path)) == len(content.decode().split()) + lines


def test_common_folders_come_before_the_folder_itself(local_data, tmp_path):
    local_data()
    enwik8 = LOCAL_DATASETS["enwik8"]
    (file,) = enwik8.splits["test"].files
    assert local_files.find_file(enwik8, file) is None
    (tmp_path / "enwik8").mkdir()
    assert local_files.find_file(enwik8, file) is None  # A folder is not a file.
    (tmp_path / "enwik8" / "enwik8").write_text("text")
    assert local_files.find_file(enwik8, file) == str(tmp_path / "enwik8" / "enwik8")
    found = local_files.describe_availability(enwik8)
    assert (found.state, found.bytes) == ("here", 4)
    assert found.place == os.path.join(tmp_path, "enwik8")
