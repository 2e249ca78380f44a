"""Document sources: their splits, shards and parts, whatever function reads the documents."""

import seqio
import tensorflow as tf

from primer.data.sources.availability import Availability
from primer.data.sources.document_source import DocumentSource

TEXTS = {"train": ["a", "b", "c", "d", "e"], "test": ["x"]}


def documents(split):
    return tf.data.Dataset.from_tensor_slices({"text": TEXTS[split]})


def texts_of(dataset):
    return [example["text"].decode() for example in dataset.as_numpy_iterator()]


def make_source(**options):
    return DocumentSource(documents, TEXTS, lambda split: f"checked {split}", **options)


def test_documents_have_the_order_of_their_files():
    for shuffle in (False, True):
        dataset = make_source().get_dataset("train", shuffle=shuffle, seed=3)
        assert texts_of(dataset) == TEXTS["train"]


def test_shards_and_parts_divide_a_split():
    source = make_source()
    infos = [seqio.ShardInfo(index, 2) for index in range(2)]
    shards = [texts_of(source.get_dataset("train", False, shard_info=info)) for info in infos]
    assert shards == [["a", "c", "e"], ["b", "d"]]
    assert [texts_of(source.part("train", index, 2)) for index in range(2)] == shards
    assert source.list_shards("train") == ["train"] and not source.supports_arbitrary_sharding


def test_own_functions_replace_the_defaults():
    here = Availability("here", "/data")
    source = make_source(
        texts_fn=lambda split: documents(split).take(1),
        part_fn=lambda split, index, parts, seed: documents(split).skip(index + seed),
        availability_fn=lambda: here,
        files_fn=lambda split: [f"{split}.txt"],
        unit="line",
    )
    assert texts_of(source.texts("train")) == ["a"]
    assert source.input_files("test") == ["test.txt"] and not list(make_source().input_files("x"))
    assert texts_of(source.part("train", 2, 5, seed=1)) == ["d", "e"]
    assert source.describe_availability("/elsewhere") == here
    assert source.unit == "line"


def test_defaults_are_the_documents_of_training():
    source = make_source()
    assert texts_of(source.texts("train")) == TEXTS["train"]
    assert source.count("train") == 5 and source.count("test") == 1
    assert source.check("test") == "checked test"
    assert source.describe_availability() is None and source.shard_reader is None
    # seqio must not learn the number, or it would keep the documents in memory.
    assert source.num_input_examples("train") is None
