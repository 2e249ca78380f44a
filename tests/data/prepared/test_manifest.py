"""Names and sizes of the files of a prepared data set."""

import pytest
import seqio

from primer.data.prepared import manifest
from primer.errors import UsageError


def test_the_folder_of_a_task_is_where_seqio_looks_for_its_cache(tmp_path):
    folder = manifest.task_directory(str(tmp_path), "a:b")
    assert folder == str(tmp_path / seqio.utils.get_task_dir_from_name("a:b"))


def test_a_shard_is_complete_with_the_recorded_sizes(tmp_path):
    for name, content in (("train", b"123"), ("test", b"")):
        (tmp_path / name).write_bytes(content)
    sizes = {"train": 3, "test": 0}
    record = {"splits": {name: {"file": name, "size": size} for name, size in sizes.items()}}
    assert manifest.is_complete_shard(str(tmp_path), record)
    (tmp_path / "train").write_bytes(b"12")
    assert not manifest.is_complete_shard(str(tmp_path), record)
    (tmp_path / "train").write_bytes(b"123")
    (tmp_path / "test").unlink()
    assert not manifest.is_complete_shard(str(tmp_path), record)
    assert manifest.file_size(str(tmp_path / "test")) is None


def test_a_shard_outside_of_the_folder_is_refused(tmp_path):
    record = {"splits": {"train": {"file": "../other/train", "size": 3}}}
    with pytest.raises(UsageError, match="names the file '../other/train'"):
        manifest.is_complete_shard(str(tmp_path), record)


def test_vocabularies_of_other_packages_differ_by_class_and_size():
    first = manifest.vocabulary_identity(seqio.ByteVocabulary())
    assert first == manifest.vocabulary_identity(seqio.ByteVocabulary())
    assert first != manifest.vocabulary_identity(seqio.ByteVocabulary(extra_ids=1))
    assert first != manifest.vocabulary_identity(seqio.PassThroughVocabulary(259))
