"""Damaged records: every command that reads them reports one line that names the file."""

import re
import shutil

import gin
import pytest
import seqio
import t5.data
import tensorflow as tf

from primer.data import inspection, whole_documents
from primer.data.prepared import plan, prepare
from primer.data.sources import corrupt_records
from primer.data.vocabulary_training import raw_texts
from primer.errors import RunError
from tests.data import caches
from tests.data.prepared.helpers import write

LM1B = "lm1b_autoregressive_language_modeling"
SHARD = "lm1b/1.1.0/lm1b-train.tfrecord-00001-of-00002"


@pytest.fixture
def copied(prepared_dir, tmp_path):
    """A copy of the data sets that may be changed, set as `--t5_tfds_data_dir` sets it."""
    folder = tmp_path / "tfds"
    shutil.copytree(f"{prepared_dir}/lm1b", folder / "lm1b")
    t5.data.set_tfds_data_dir_override(str(folder))
    gin.bind_parameter("task_vocabulary.name", "bytes")
    yield folder
    t5.data.set_tfds_data_dir_override(None)


@pytest.fixture(params=["cut", "changed"])
def damaged(copied, request):
    """The path of a file of the training split, truncated or with a changed byte."""
    path = copied / SHARD
    content = bytearray(path.read_bytes())
    if request.param == "cut":
        content = content[: len(content) * 3 // 4]
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


def prepared(output):
    return prepare.prepare(plan.make_plan(LM1B, str(output), shards=2), write)


@pytest.mark.parametrize(
    "read",
    [
        lambda: list(whole_documents.documents(LM1B, "train")),
        lambda: list(raw_texts.split_texts(LM1B, "train")),
        lambda: inspection.inspect_split(LM1B, "train"),
    ],
    ids=["evaluate", "vocabulary", "inspect"],
)
def test_every_reader_names_the_damaged_file(damaged, read):
    with pytest.raises(RunError) as error:
        read()
    message = str(error.value)
    assert re.match(rf"{damaged} is damaged \((truncated|corrupted) record at \d+\): ", message)
    assert "\n" not in message


def test_nothing_is_prepared_from_damaged_records(damaged, tmp_path):
    with pytest.raises(RunError, match=f"{damaged} is damaged"):
        prepared(tmp_path / "out")
    folder = tmp_path / "out" / LM1B
    assert not (folder / "COMPLETED").exists() and not list(folder.glob(".*unfinished"))


def test_training_names_damaged_prepared_data(copied, tmp_path):
    prepared(tmp_path / "out")
    path = next((tmp_path / "out" / LM1B).glob("train.tfrecord-00001-*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    task = seqio.TaskRegistry.get(LM1B)
    with (
        caches.named(LM1B, tmp_path / "out"),
        pytest.raises(RunError, match=f"{path} is damaged"),
        corrupt_records.name_corrupt_file(task),
    ):
        source = task._get_cached_source("train")
        list(source.get_dataset("train").as_numpy_iterator())


def test_readable_files_give_no_diagnosis(copied):
    task = seqio.TaskRegistry.get(LM1B)
    error = tf.errors.DataLossError(None, None, "corrupted record at 7")
    assert corrupt_records.diagnose(task, error) is None
    with pytest.raises(tf.errors.DataLossError), corrupt_records.name_corrupt_file(task):
        raise error
