"""Tasks of documents: rows of prepared data, features, reported sizes."""

import json
import os

import pytest
import seqio
import tensorflow as tf
from t5.data import preprocessors

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


def positions(name, lines):
    """The positions of an epoch's rows, padding included."""
    sizes = list(map(len, lines))
    if name == "lm":  # Fifteen tokens and an end token in a row.
        return sum(sizes) * 16 // 15
    if name == "chunks":
        return sum(16 * -(-(size + 1) // 16) for size in sizes)
    if name == "documents_random":
        return 16 * len(lines)
    return sum(sizes) + len(lines)


def epochs_around(progress, number):
    return progress.describe_epochs(number - 1), progress.describe_epochs(number)


@pytest.mark.parametrize("name", ["lm_documents", "lm_stream", "chunks"])
def test_prepared_documents_give_the_same_rows(objective, cached, lines, name):
    objective(name, "lm_stream.columns = 4")
    assert helpers.rows(use_cached=True) == helpers.rows()
    total = positions(name, lines)
    with input_progress.reporting_to(input_progress.InputProgress()) as progress:
        helpers.rows(2 * total // helpers.LENGTH, use_cached=True, num_epochs=None)
    assert epochs_around(progress, total) == ("epoch 1", "epoch 2")


def task():
    return seqio.get_mixture_or_task("text")


@pytest.mark.parametrize("name, ends_rows", [("lm", True), ("lm_documents", False)])
def test_rows_end_with_an_end_token_only_under_t5s_objectives(objective, name, ends_rows):
    objective(name)
    assert task().output_features["targets"].add_eos is ends_rows
    assert task().output_features["inputs"].add_eos is False


ALL = ["lm", "lm_documents", "lm_stream", "documents_random", "chunks"]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_the_size_of_an_epoch_is_reported(objective, lines, name, shuffle):
    """When it has been read, or, of stored documents, before the first row."""
    objective(name, "lm_stream.columns = 4")
    total = positions(name, lines)
    with input_progress.reporting_to(input_progress.InputProgress()) as progress:
        number = 1 if shuffle else 3 * total // helpers.LENGTH
        helpers.rows(number, shuffle=shuffle, num_epochs=None)
    assert epochs_around(progress, total) == ("epoch 1", "epoch 2")


@pytest.mark.parametrize("name", ["lm_documents", "lm_stream", "chunks"])
def test_each_epoch_has_every_token_once_in_an_order_of_its_own(objective, lines, name):
    objective(name, "lm_stream.columns = 1")
    total = positions(name, lines)
    tokens = sum(helpers.rows(shuffle=True, seed=3, num_epochs=3), [])
    epochs = [tokens[start : start + total] for start in range(0, 3 * total, total)]
    expected = sorted([*helpers.joined(lines), *[0] * (total - sum(map(len, lines)) - 50)])
    if name == "lm_documents":  # Its rows continue across epochs.
        assert sorted(tokens) == sorted(3 * expected)
    else:
        assert all(sorted(epoch) == expected for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("name", ALL)
def test_a_seed_repeats_the_rows(objective, name):
    objective(name, "lm_stream.columns = 4")
    options = {"number": 60, "shuffle": True, "num_epochs": None}
    first = helpers.rows(seed=3, **options)
    assert first == helpers.rows(seed=3, **options) != helpers.rows(seed=4, **options)


def test_t5s_pieces_come_from_documents_in_a_random_order(objective, lines):
    objective("lm", "reduce_concat_tokens.batch_size = 1")
    rows = helpers.rows(shuffle=True, seed=1, num_epochs=1, shuffle_buffer_size=1)
    firsts = [row[:-1] for row in rows if helpers.tokens(":")[0] in row[:3]]
    numbers = [int(bytes(token - 3 for token in row).split(b":")[0]) for row in firsts]
    assert sorted(numbers) == list(range(50)) != numbers


def test_a_buffer_of_rows_is_said(objective, tfds_dir):
    def said(name, task="text"):
        objective(name)
        lines = []
        with input_progress.reporting_to(input_progress.InputProgress(lines.append)):
            seqio.get_mixture_or_task(task).get_dataset(
                {"inputs": 1, "targets": 16}, "train", num_epochs=None, seed=1
            )
        return "\n".join(lines)

    assert "shuffled in a buffer of 1,000 rows" in said("lm")
    assert "buffer" not in said("lm_documents")
    streamed = said("lm_documents", "lm1b_autoregressive_language_modeling")
    assert "documents stream from files in random order; rows are shuffled in a buffer" in streamed
    streamed = said("lm", "lm1b_autoregressive_language_modeling")
    assert "reads one piece of at most 65,536 tokens of each document in an epoch." in streamed


def test_what_t5s_lm_leaves_out_is_said(objective, lines):
    def said(piece):
        objective("lm", f"preprocessors.select_random_chunk.max_length = {piece}")
        lines = []
        with input_progress.reporting_to(input_progress.InputProgress(lines.append)):
            helpers.rows(1, shuffle=True, num_epochs=None)
        return "\n".join(lines)

    assert "one piece of at most 20 tokens of each document" in said(20)
    assert "one piece" not in said(65_536)


def test_steps_before_the_objective_are_kept(objective, lines):
    """A task of other steps after the cache gets the data set of its documents."""
    objective("lm_documents")
    steps = list(task().preprocessors)

    def without_short(dataset):
        return dataset.filter(lambda example: tf.size(example["targets"]) > 30)

    place = steps.index(preprocessors.unsupervised)
    other = type(task())(
        "other",
        source=task().source,
        preprocessors=[*steps[:place], without_short, *steps[place:]],
        output_features=task()._output_features,
    )
    rows = other.get_dataset({"inputs": 1, "targets": 16}, "train", shuffle=True, seed=1)
    found = sum((row["targets"].tolist() for row in rows.as_numpy_iterator()), [])
    assert sorted(found) == sorted(helpers.joined([x for x in lines if len(x) > 30]))


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
