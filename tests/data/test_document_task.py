"""Tasks of documents: rows of prepared data, features, reported sizes."""

import json
import os

import pytest
import seqio
import tensorflow as tf

from primer.common import input_progress
from primer.data import tasks  # noqa: F401
from tests.data import caches
from tests.data.objectives import helpers


@pytest.fixture
def cached(lines, tmp_path):
    """The same documents in seqio's own cache, whose files its tool would have written."""

    folder = str(tmp_path / "text")
    tf.io.gfile.makedirs(folder)
    path = seqio.get_cached_tfrecord_prefix(folder, "train") + "-00000-of-00001"
    with tf.io.TFRecordWriter(path) as writer:
        for text in lines:
            ids = tf.train.Int64List(value=helpers.tokens(text))
            feature = {"targets": tf.train.Feature(int64_list=ids)}
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    info = {
        "num_shards": 1,
        "features": {"targets": {"shape": [None], "dtype": "int32"}},
        "seqio_version": seqio.__version__,
    }
    for name, content in (
        ("info", info),
        (
            "stats",
            {"examples": len(lines), "targets_tokens": len(helpers.joined(lines)) - len(lines)},
        ),
    ):
        path = getattr(seqio.utils, f"get_cached_{name}_path")(folder, "train")
        with tf.io.gfile.GFile(path, "w") as out:
            out.write(json.dumps(content))
    (tmp_path / "text" / "COMPLETED").write_text("")
    with caches.named("text", tmp_path):
        yield


@pytest.mark.parametrize("name", ["lm_documents", "lm_stream", "chunks"])
def test_prepared_documents_give_the_same_rows(objective, cached, lines, name):
    objective(name, "lm_stream.columns = 4")
    assert helpers.rows(use_cached=True) == helpers.rows()
    with input_progress.reporting_to(input_progress.InputProgress()) as progress:
        helpers.rows(
            len(helpers.joined(lines)) // helpers.LENGTH + 2, use_cached=True, num_epochs=None
        )
    assert progress.describe_epochs(len(helpers.joined(lines)) - 1) == "epoch 1"
    assert progress.describe_epochs(len(helpers.joined(lines))) == "epoch 2"


def task():
    return seqio.get_mixture_or_task("text")


@pytest.mark.parametrize("name, ends_rows", [("lm", True), ("lm_documents", False)])
def test_rows_end_with_an_end_token_only_under_t5s_objectives(objective, name, ends_rows):
    objective(name)
    assert task().output_features["targets"].add_eos is ends_rows
    assert task().output_features["inputs"].add_eos is False


@pytest.mark.parametrize("name, ends", [("lm", 0), ("lm_documents", 1), ("chunks", 1)])
def test_the_size_of_an_epoch_is_reported_when_it_has_been_read(objective, lines, name, ends):
    objective(name)
    with input_progress.reporting_to(input_progress.InputProgress()) as progress:
        helpers.rows(3 * len(helpers.joined(lines)) // helpers.LENGTH, num_epochs=None)
    # `lm` adds end tokens to rows, not to documents.
    tokens = sum(map(len, lines)) + ends * len(lines)
    assert (progress.describe_epochs(tokens - 1), progress.describe_epochs(tokens)) == (
        "epoch 1",
        "epoch 2",
    )


def test_a_single_epoch_is_not_counted(objective, lines):
    objective("lm_documents")
    with input_progress.reporting_to(input_progress.InputProgress()) as progress:
        counted = helpers.rows(num_epochs=1)
    assert counted == helpers.rows() and progress.describe_epochs(10**6) == ""


def described(**options):
    """What the task reports of itself, with the names of its files."""
    with input_progress.reporting_to(input_progress.InputProgress()) as progress:
        helpers.rows(1, **options)
    return progress.tasks["text"], [os.path.basename(path) for path in progress.files["text"]]


def test_the_task_reports_what_decides_its_rows(objective, lines):
    objective("lm_documents")
    facts, files = described()
    assert (
        facts["split"] == "train"
        and facts["source"] == "documents"
        and "ids" in (facts["vocabulary"])
    )
    assert files


def test_the_files_of_prepared_data_are_its_shards(objective, cached):
    objective("lm_documents")
    facts, files = described(use_cached=True)
    assert facts["source"] == "prepared data"
    assert files == ["train.tfrecord-00000-of-00001"]
