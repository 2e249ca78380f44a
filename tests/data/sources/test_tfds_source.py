"""Prepared TensorFlow data sets: how they are divided, and which files are refused."""

import json
import os
import shutil

import pytest
import seqio
import t5.data

from primer.data.sources import tfds_source
from primer.data.sources.tfds_source import PreparedTfdsSource
from primer.errors import UsageError
from tests.data import fabricate

SPLITS = {"train": "train[:98%]", "validation": "train[98%:]", "test": "test"}


@pytest.fixture
def source(tfds_dir):
    return PreparedTfdsSource("lm1b:1.1.0", SPLITS, "prepare it", unit="line")


def texts_of(dataset):
    return [example["text"].decode() for example in dataset.as_numpy_iterator()]


def test_the_name_of_the_folder_is_no_pattern(source, tfds_dir, tmp_path):
    expected = texts_of(source.get_dataset("train", shuffle=False))
    shutil.copytree(f"{tfds_dir}/lm1b", tmp_path / "tfds, [1]" / "lm1b")
    t5.data.set_tfds_data_dir_override(str(tmp_path / "tfds, [1]"))
    assert texts_of(source.get_dataset("train", shuffle=False)) == expected
    assert texts_of(source.part("train", 0, 1)) == expected


def test_parts_divide_the_split(source):
    parts = [texts_of(source.part("train", index, 3)) for index in range(3)]
    whole = texts_of(source.get_dataset("train", shuffle=False))
    assert sorted(sum(parts, [])) == sorted(whole)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert len(whole) == source.count("train") == 392  # 98% of 400.


def test_shards_divide_the_split(source):
    infos = [seqio.ShardInfo(index, 2) for index in range(2)]
    shards = [texts_of(source.get_dataset("train", False, shard_info=info)) for info in infos]
    assert all(shards)
    assert sorted(sum(shards, [])) == sorted(texts_of(source.get_dataset("train", False)))


def test_small_splits_are_not_reported_to_seqio(source, monkeypatch):
    assert source.num_input_examples("train") is None
    monkeypatch.setattr(tfds_source, "_SEQIO_CACHE_LIMIT", 300)
    assert source.num_input_examples("train") == 392


def test_availability_follows_the_files(source, tfds_dir, tmp_path):
    files = source.record_files()
    found = source.describe_availability()
    assert (found.state, found.bytes) == ("here", sum(map(os.path.getsize, files)))
    assert found.place == source.directory() == f"{tfds_dir}/lm1b/1.1.0"
    missing = source.describe_availability(str(tmp_path))
    assert (missing.state, missing.hint) == ("missing", "prepare it")
    assert source.describe_availability("gs://bucket").state == "not looked at"


def test_the_files_of_a_split_are_its_input(source):
    train, test = (source.input_files(split) for split in ("train", "test"))
    assert train == source.input_files("validation") and set(train).isdisjoint(test)
    assert sorted([*train, *test]) == source.record_files()


def test_another_version_is_refused(tmp_path):
    fabricate.fabricate(tmp_path, fabricate.LM1B)
    source = PreparedTfdsSource("lm1b:1.1.0", SPLITS, "prepare it")
    source.check("train", str(tmp_path))
    info = tmp_path / "lm1b" / "1.1.0" / "dataset_info.json"
    tfds_source._builder.cache_clear()  # It holds the metadata of a folder that does not change.
    info.write_text(json.dumps({**json.loads(info.read_text()), "version": "1.0.0"}))
    with pytest.raises(UsageError, match=f"{info} is of version 1.0.0; expected 1.1.0; prepare it"):
        source.check("train", str(tmp_path))
    info.parent.rename(tmp_path / "lm1b" / "1.0.0")
    with pytest.raises(UsageError, match=rf"{tmp_path}/lm1b/1.1.0 .*; {tmp_path}/lm1b has 1.0.0\)"):
        source.check("train", str(tmp_path))
