"""Random token ids as a task, and the batches of Lingvo's SyntheticTrain."""

import gin
import numpy as np
import pytest
import seqio

from primer.checkpoints import vocabulary_copy
from primer.data import preflight, synthetic, whole_documents
from primer.errors import UsageError

TASK = "synthetic"


def bind(**settings):
    for name, value in settings.items():
        gin.bind_parameter(f"synthetic.{name}", value)


def read(split="train", **options):
    source = synthetic.SyntheticSource()
    dataset = source.get_dataset(split, **{"shuffle": False, **options})
    return [example["targets"].tolist() for example in dataset.as_numpy_iterator()]


def test_documents_have_the_sizes_and_ids_of_the_settings():
    bind(documents=500, mean_tokens=20, vocabulary_size=7)
    documents = read()
    lengths = [len(document) for document in documents]
    assert len(documents) == 500 and (min(lengths), max(lengths)) == (1, 39)
    assert abs(np.mean(lengths) - 20) < 2
    shares = np.bincount(np.concatenate(documents)) / sum(lengths)
    np.testing.assert_allclose(shares, [0, 0, *[0.2] * 5], atol=0.02)
    assert len(set(map(tuple, documents))) > 450  # Some of a single id are equal.


def test_every_run_reads_the_same_documents():
    bind(documents=50, mean_tokens=20)
    documents = read()
    assert read() == documents
    shuffled = read(shuffle=True, seed=1)
    assert sorted(shuffled) == sorted(documents) and shuffled != documents
    shards = [read(shard_info=seqio.ShardInfo(n, 3)) for n in range(3)]
    assert sorted(sum(shards, [])) == sorted(documents)
    bind(seed=1)
    assert read() != documents


def test_the_validation_split_is_a_hundredth_and_of_other_documents():
    bind(documents=300, mean_tokens=20)
    held_out = read("validation")
    assert len(held_out) == 3
    assert not {tuple(x) for x in held_out} & {tuple(x) for x in read()}
    bind(documents=5)
    assert len(read("validation")) == 1


def test_the_model_gets_the_size_of_the_vocabulary():
    bind(vocabulary_size=500)
    preflight.check_split(TASK, "train", model_vocab_size=500)
    with pytest.raises(UsageError, match="500 ids and the model 499"):
        preflight.check_split(TASK, "train", model_vocab_size=499)
    assert not whole_documents.keeps_text(TASK)
    bind(vocabulary_size=2)
    with pytest.raises(UsageError, match=r"synthetic.vocabulary_size.*3 or more"):
        preflight.check_split(TASK, "train")


def test_a_run_records_the_ids_of_its_vocabulary(tmp_path):
    """As every run does at its start."""
    bind(vocabulary_size=500)
    vocabulary = synthetic.SyntheticVocabulary("ids")
    record = vocabulary_copy.save_copy(str(tmp_path), (vocabulary, vocabulary))
    assert record["vocabulary_copy"]["setting"]["name"] == "ids, synthetic 500"
    assert list(tmp_path.iterdir()) == []


def test_rows_of_lingvo_are_ones():
    rows = synthetic.synthetic_ones({"inputs": 1, "targets": 3})
    for row in rows.take(2).as_numpy_iterator():
        assert {name: values.tolist() for name, values in row.items()} == {
            name: [1, 1, 1] for name in ("targets", "targets_segmentation", "targets_position")
        }
