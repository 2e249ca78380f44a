"""The original's three tasks on prepared data sets of their exact format, and without any."""

import time

import gin
import pytest
import seqio

from primer.data import preflight, whole_documents
from primer.errors import UsageError
from tests import slow
from tests.data import fabricate

LM1B = "lm1b_autoregressive_language_modeling"
C4 = "c4_v220_autoregressive_language_modeling"
PG19 = "pg19_autoregressive_language_modeling"


def use_bytes():
    gin.bind_parameter("task_vocabulary.name", "bytes")


def use_t5s(shared_data):
    gin.bind_parameter("task_vocabulary.model_file", str(shared_data / "cc_all.32000.model"))


def read(task, split):
    return [text for text, _ in whole_documents.documents(task, split)]


@pytest.mark.parametrize(
    "task, prepared, splits",
    [
        (LM1B, fabricate.LM1B, {"train": "train", "test": "test"}),
        (C4, fabricate.C4, {"train": "train", "validation": "validation"}),
        (PG19, fabricate.PG19, {split: split for split in ("train", "validation", "test")}),
    ],
)
def test_every_document_is_read_once_from_the_right_split(tfds_dir, task, prepared, splits):
    use_bytes()
    source = seqio.TaskRegistry.get(task).source
    assert set(splits) <= set(source.splits)
    for split, made in splits.items():
        expected = fabricate.texts(prepared, made)
        if task == LM1B and split == "train":
            found = read(task, "train") + read(task, "validation")
            assert len(read(task, "validation")) == 8  # 2% of 400
        else:
            found = read(task, split)
        assert sorted(found) == sorted(expected)
    assert read(task, "train") == read(task, "train")


def test_shards_are_those_of_the_files(tfds_dir):
    use_bytes()
    assert len(seqio.TaskRegistry.get(C4).source.list_shards("train")) == 2
    assert len(seqio.TaskRegistry.get(LM1B).source.list_shards("validation")) == 1


@pytest.mark.parametrize("task", slow.all_but([LM1B], [LM1B, C4, PG19]))
def test_chunks_for_training(tfds_dir, chunks, task):
    use_bytes()
    first = chunks(task, length=64, number=100, seed=7)
    assert all(len(chunk) <= 64 and chunk[-1] == 1 for chunk in first)
    assert sum(len(chunk) == 64 for chunk in first) > 95
    assert chunks(task, length=64, number=100, seed=7) == first
    assert chunks(task, length=64, number=100, seed=8) != first


def test_chunks_are_the_documents_joined_and_cut(tfds_dir, chunks):
    use_bytes()
    parts = chunks(PG19, "validation", length=512, number=-1, shuffle=False)
    joined = [token for part in parts for token in part[:-1]]
    ids = [
        token for _, ids in whole_documents.documents(PG19, "validation") for token in ids.tolist()
    ]
    assert joined == ids
    assert bytes(token - 3 for token in ids).decode() == "".join(read(PG19, "validation"))


def test_with_t5s_vocabulary_as_users_have_it(tfds_dir, chunks, shared_data):
    use_t5s(shared_data)
    for task in (LM1B, C4, PG19):
        vocabulary = seqio.TaskRegistry.get(task).output_features["targets"].vocabulary
        assert vocabulary.vocab_size == 32100
        (text, ids), *_ = whole_documents.documents(task, "validation")
        assert vocabulary.decode(ids.tolist()).split() == text.split()
        assert 3 < len(text) / len(ids) < 6
        assert all(0 < token < 32000 for chunk in chunks(task, seed=1) for token in chunk)


def test_the_input_function_of_the_training_command(tfds_dir, lm_objective):
    """With `dataset.gin`: packed batches with only the targets and their segments."""
    from t5.models import mesh_transformer

    use_bytes()
    gin.parse_config(f"include 'dataset.gin'\nMIXTURE_NAME = '{LM1B}'")
    length = {"inputs": 1, "targets": 128}
    dataset = mesh_transformer.mesh_train_dataset_fn(sequence_length=length, seed=3)
    batch = next(dataset.batch(4).as_numpy_iterator())
    assert {key: value.shape for key, value in batch.items()} == {
        key: (4, 128) for key in ("targets", "targets_position", "targets_segmentation")
    }
    assert (batch["targets"] != 0).mean() > 0.9


def test_a_prompt_is_not_ended(tfds_dir, lm_objective):
    """A language model continues the start of a text, which has no end token."""
    from t5.models import mesh_transformer

    use_bytes()
    (evaluation,) = mesh_transformer.mesh_inference_dataset_fn(
        mixture_or_task_name=PG19,
        sequence_length={"inputs": 16, "targets": 64},
        dataset_split="validation",
        priming_sequence_length=16,
    )
    example = next(evaluation.dataset_fn().as_numpy_iterator())
    assert example["inputs"].shape == (16,) and 1 not in example["inputs"]
    assert example["targets"].shape == (64,)


@pytest.mark.parametrize(
    "task, words",
    [
        (LM1B, ["lm1b:1.1.0", "lm1b/1.1.0", "download_and_prepare"]),
        (C4, ["c4/en:3.0.1", "c4/en/3.0.1", "copy"]),
        (PG19, ["pg19:0.1.1", "pg19/0.1.1", "download_and_prepare"]),
    ],
)
def test_missing_prepared_data_are_refused_in_one_line_at_once(tmp_path, task, words):
    use_bytes()
    started = time.monotonic()
    with pytest.raises(UsageError) as checked:
        preflight.check_split(task, "train", tfds_data_dir=str(tmp_path))
    import t5.data

    t5.data.set_tfds_data_dir_override(str(tmp_path))
    try:
        with pytest.raises(UsageError) as reading:
            seqio.TaskRegistry.get(task).get_dataset({"targets": 64}, "train")
    finally:
        t5.data.set_tfds_data_dir_override(None)
    assert time.monotonic() - started < 5
    assert str(reading.value) == str(checked.value)
    message = str(checked.value)
    assert "\n" not in message and str(tmp_path) in message
    assert all(word in message for word in ["--t5_tfds_data_dir", "sotu", *words]), message


def test_the_folder_of_the_environment_is_the_default(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    monkeypatch.setattr(tfds.core.constants, "DATA_DIR", str(tmp_path))
    assert seqio.TaskRegistry.get(C4).source.directory() == str(tmp_path / "c4" / "en" / "3.0.1")


def test_missing_files_are_counted(tmp_path):
    fabricate.fabricate(tmp_path, fabricate.C4)
    use_bytes()
    preflight.check_split(C4, "train", tfds_data_dir=str(tmp_path))
    (tmp_path / "c4/en/3.0.1/c4-train.tfrecord-00001-of-00002").unlink()
    with pytest.raises(UsageError, match="lacks 1 of the 2 files of split 'train'.*00001-of-00002"):
        preflight.check_split(C4, "train", tfds_data_dir=str(tmp_path))
    preflight.check_split(C4, "validation", tfds_data_dir=str(tmp_path))
