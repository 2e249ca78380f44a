"""Rows of probes: segments, positions, padding, the run's seed, and what is refused."""

import gin
import numpy as np
import pytest
import seqio

from primer.data import inspection, preflight, whole_documents
from primer.data.probes import example_rows, mqar, probe
from primer.errors import UsageError
from tests import gin_models

pytestmark = pytest.mark.usefixtures("eager")
SETTINGS = ["mqar.pairs = 3", "mqar.length = 16", "mqar.validation_examples = 70"]


@pytest.fixture
def configured():
    gin_models.parse(["datasets/mqar.gin"], SETTINGS)


def rows(length, split="train", number=4, **options):
    read = example_rows.example_rows({"inputs": 1, "targets": length}, dataset_split=split)
    return list(read.take(number).as_numpy_iterator())


def test_a_row_has_as_many_whole_examples_as_fit(configured):
    of = mqar.MultiQueryRecall().checked()
    assert (of.pairs, of.length) == (3, 16)
    found = rows(37, number=40)
    expected = np.concatenate([of.block(probe.TRAIN, 0, n) for n in range(2)])[:80]
    targets = np.stack([row["targets"] for row in found])
    np.testing.assert_array_equal(targets[:, :32].reshape(-1, 16), expected)
    assert not targets[:, 32:].any()
    for row in found:
        np.testing.assert_array_equal(row["targets_segmentation"], [*[1] * 16, *[2] * 16, *[0] * 5])
        np.testing.assert_array_equal(row["targets_position"], [*range(16), *range(16), *[0] * 5])
        assert all(values.dtype == np.int32 for values in row.values())


def test_a_split_is_read_once_and_its_last_row_padded(configured):
    found = rows(48, "validation", number=100)
    assert len(found) == 24  # 70 examples, three to a row.
    assert set(found[-1]["targets_segmentation"]) == {0, 1}


def test_the_stream_has_no_end_and_depends_on_the_runs_seed(configured):
    first = rows(16)
    gin.bind_parameter("run_seed.seed", 1)
    other = rows(16)
    assert any((a["targets"] != b["targets"]).any() for a, b in zip(first, other, strict=True))
    held_out = rows(16, "validation")
    gin.bind_parameter("run_seed.seed", 2)
    for one, again in zip(held_out, rows(16, "validation"), strict=True):
        np.testing.assert_array_equal(one["targets"], again["targets"])


def test_shards_have_all_examples_once(configured):
    source = seqio.get_mixture_or_task("mqar").source
    shards = [
        list(source.get_dataset("validation", shard_info=info).as_numpy_iterator())
        for info in [None, *(seqio.ShardInfo(n, 2) for n in range(2))]
    ]
    whole, *parts = ({row["targets"].tobytes() for row in rows} for rows in shards)
    assert len(shards[0]) == 70 and not parts[0] & parts[1] and parts[0] | parts[1] == whole


def test_the_model_gets_the_size_of_the_vocabulary(configured):
    preflight.check_split("mqar", "train", model_vocab_size=64)
    with pytest.raises(UsageError, match="64 ids and the model 63"):
        preflight.check_split("mqar", "train", model_vocab_size=63)


def test_what_cannot_be_read_is_refused(configured):
    with pytest.raises(UsageError, match=r"mqar.length = 16: an example is longer than a row of 9"):
        rows(9)
    with pytest.raises(UsageError, match=r"mqar: the split 'train' has no end.*expected validat"):
        list(whole_documents.batches("mqar", "train"))
    with pytest.raises(UsageError, match="task mqar makes its examples: it has no texts"):
        inspection.inspect_split("mqar", "validation")
    gin.parse_config("preprocessors.unsupervised.preprocessors = [@lm_stream]")
    with pytest.raises(UsageError, match="task mqar has the objective lm_stream, .* leave out"):
        preflight.check_split("mqar", "train")
    gin.bind_parameter("mqar.pairs", 5)
    with pytest.raises(UsageError, match=r"mqar.pairs = 5: .* expected at most 4 pairs"):
        preflight.check_split("mqar", "train")
    gin.bind_parameter("mesh_train_dataset_fn.mixture_or_task_name", "sotu")
    with pytest.raises(UsageError, match="@example_rows is for probes .* the task is sotu"):
        rows(16)
