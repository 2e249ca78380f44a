"""The rows that each objective makes of small texts, against numpy on the same bytes."""

import gin
import numpy as np
import pytest
import seqio
import tensorflow as tf

from primer.common import input_progress
from primer.data import tasks  # noqa: F401
from primer.data.objectives import train_rows
from primer.errors import UsageError
from tests.data import caches

LENGTH = 16
EOS = 1


@pytest.fixture
def lines(tmp_path):
    """Fifty documents of one to sixty bytes; all of them in the training split."""
    texts = [f"{n}:" + "".join(chr(97 + k % 26) for k in range(n * 37 % 60)) for n in range(50)]
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(texts))
    gin.parse_config(f"""
        text_files.glob = "{path}"
        text_files.unit = "line"
        text_files.held_out = 0.0
        task_vocabulary.name = "bytes"
    """)
    return texts


@pytest.fixture
def objective(t5_gin, lines):
    """A function that parses an objective's file, and bindings after it."""
    from primer.gin_config import config_files

    gin.add_config_file_search_path(config_files.gin_directory())

    def choose(name, *bindings):
        import t5.models.mesh_transformer  # noqa: F401

        gin.parse_config(
            ['include "dataset.gin"', f'include "objectives/{name}.gin"', 'MIXTURE_NAME = "text"']
        )
        gin.parse_config([*bindings])

    return choose


def tokens(text):
    """As bytes: T5's byte vocabulary begins behind pad, eos and unk."""
    return [byte + 3 for byte in text.encode()]


def joined(texts):
    return np.array([token for text in texts for token in [*tokens(text), EOS]])


def rows(number=None, **options):
    """The first rows of the task, as lists."""
    settings = {"shuffle": False, "num_epochs": 1, **options}
    dataset = seqio.get_mixture_or_task("text").get_dataset(
        {"inputs": 1, "targets": LENGTH}, "train", **settings
    )
    dataset = dataset if number is None else dataset.take(number)
    return [example["targets"].tolist() for example in dataset.as_numpy_iterator()]


def fed(number, **bindings):
    """The first rows as Mesh-TensorFlow gets them."""
    dataset = train_rows.train_rows({"inputs": 1, "targets": LENGTH})
    return list(dataset.take(number).as_numpy_iterator())


def cut(ids):
    return [ids[start : start + LENGTH].tolist() for start in range(0, len(ids), LENGTH)]


def test_lm_documents_ends_documents_and_no_row(objective, lines):
    objective("lm_documents")
    assert rows() == cut(joined(lines))


def test_lm_documents_goes_on_where_an_epoch_ends(objective, lines):
    objective("lm_documents")
    twice = cut(joined(lines * 2))
    assert rows(num_epochs=2) == twice
    assert rows(len(twice) - 1, num_epochs=None) == twice[:-1]


def test_a_shuffled_epoch_has_the_same_documents_in_the_order_of_the_seed(objective, lines):
    objective("lm_documents")
    first, again, other = (rows(shuffle=True, seed=seed) for seed in (3, 3, 4))
    assert first == again != other
    flat = sorted(token for row in first for token in row)
    assert flat == sorted(joined(lines).tolist())


def test_chunks_cut_each_document(objective, lines):
    objective("chunks")
    expected = []
    for text in lines:
        expected += cut(joined([text]))
        expected[-1] += [0] * (LENGTH - len(expected[-1]))
    assert rows() == expected


def test_documents_random_takes_windows_anywhere(objective, lines):
    objective("documents_random")
    seen = {n: set() for n in range(50)}
    for number, row in enumerate(rows(num_epochs=40, seed=5)):
        ids = joined([lines[number % 50]])
        starts = [
            s for s in range(max(len(ids) - LENGTH, 0) + 1) if ids[s : s + LENGTH].tolist() == row
        ]
        assert starts
        seen[number % 50].update(starts)
    assert rows(num_epochs=2, seed=5) == rows(num_epochs=2, seed=5)
    assert rows(num_epochs=2, seed=5) != rows(num_epochs=2, seed=6)
    possible = [max(len(text) + 1 - LENGTH, 0) + 1 for text in lines]
    few = [n for n in range(50) if 1 < possible[n] < 6]
    assert few and all(seen[n] == set(range(possible[n])) for n in few)


def test_documents_random_stitches(objective, lines):
    objective("documents_random", "documents_random.stitch = 5")
    for number, row in enumerate(rows(seed=5)):
        text = " ".join(map(str, joined(lines[5 * number : 5 * number + 5])))
        assert len(row) == LENGTH and " ".join(map(str, row)) in text
    assert number == 9


def stream(columns, length=LENGTH, epochs=3, ids=None):
    """The columns of a text, by hand: {column: all its tokens}."""
    share, longer = divmod(len(ids), columns)
    sizes = [share + (column < longer) for column in range(columns)]
    parts = np.split(ids, np.cumsum(sizes)[:-1])
    return [np.tile(part, epochs) for part in parts]


@pytest.mark.parametrize("columns", [1, 4, 7])
def test_lm_stream_columns_continue_from_batch_to_batch(objective, lines, columns):
    objective("lm_stream", f"lm_stream.columns = {columns}")
    ids = joined(lines)
    expected = stream(columns, ids=ids)
    steps = 2 * len(ids) // (columns * LENGTH)  # Into the third epoch's neighbourhood.
    batches = np.array(rows(steps * columns, num_epochs=None)).reshape(steps, columns, LENGTH)
    for column in range(columns):
        text = batches[:, column].reshape(-1)
        np.testing.assert_array_equal(text, expected[column][: len(text)])


def test_a_finite_lm_stream_has_every_token_once(objective, lines):
    objective("lm_stream", "lm_stream.columns = 4")
    got = rows()
    for column, expected in enumerate(stream(4, epochs=1, ids=joined(lines))):
        assert sum(got[column::4], []) == expected.tolist()


def test_lm_stream_shuffles_documents_anew_each_epoch(objective, lines):
    objective("lm_stream", "lm_stream.columns = 1")
    size = len(joined(lines))
    text = sum(rows(2 * size // LENGTH + 1, shuffle=True, seed=2, num_epochs=None), [])
    epochs = text[:size], text[size : 2 * size]
    for epoch in epochs:
        documents = bytes(x - 3 if x > 2 else 10 for x in epoch).decode().split("\n")[:-1]
        assert sorted(documents) == sorted(lines) and documents != lines
    assert epochs[0] != epochs[1]
    again = sum(rows(2 * size // LENGTH + 1, shuffle=True, seed=2, num_epochs=None), [])
    other = sum(rows(2 * size // LENGTH + 1, shuffle=True, seed=3, num_epochs=None), [])
    assert text == again != other


def test_hosts_have_the_columns_of_one(objective, lines):
    objective("lm_stream", "lm_stream.columns = 6")
    options = {"shuffle": True, "seed": 1, "num_epochs": None}
    whole = np.array(rows(60, **options)).reshape(10, 6, LENGTH)
    for host in range(2):
        shard = seqio.ShardInfo(index=host, num_shards=2)
        part = np.array(rows(30, shard_info=shard, **options)).reshape(10, 3, LENGTH)
        np.testing.assert_array_equal(part, whole[:, 3 * host : 3 * host + 3])
    with pytest.raises(UsageError, match="4 hosts cannot divide"):
        rows(1, shard_info=seqio.ShardInfo(index=0, num_shards=4), **options)


@pytest.mark.parametrize(
    "bindings, message",
    [
        (["lm_stream.columns = 0"], "lm_stream.columns is 0"),
        (["lm_stream.columns = 500"], "too few for 500 columns"),
        (["unsupervised.preprocessors = [@lm_documents, @lm_stream]"], "expected lm_stream alone"),
    ],
)
def test_a_stream_that_cannot_be_laid_is_refused(objective, bindings, message):
    objective("lm_stream", *bindings)
    with pytest.raises(UsageError, match=message):
        rows(1)


def test_a_row_is_one_segment(objective, lines):
    objective("lm_documents", "mesh_train_dataset_fn.shuffle = False")
    expected = cut(joined(lines))
    for row, ids in zip(fed(5), expected, strict=False):
        assert row["targets"].tolist() == ids
        assert row["targets_segmentation"].tolist() == [1] * LENGTH
        assert row["targets_position"].tolist() == list(range(LENGTH))


def test_documents_of_a_row_can_be_segments(objective, lines):
    objective(
        "lm_documents",
        "mesh_train_dataset_fn.shuffle = False",
        "train_rows.separate_documents = True",
    )
    expected = cut(joined(lines))
    for row, ids in zip(fed(30), expected, strict=False):
        segment, position = 1, 0
        for place, token in enumerate(ids):
            assert row["targets"][place] == token
            assert row["targets_segmentation"][place] == segment
            assert row["targets_position"][place] == position
            position += 1
            if token == EOS:
                segment, position = segment + 1, 0


def test_segments_are_those_of_t5s_packing(eager):
    """Documents that fill a row exactly, packed by Mesh-TensorFlow itself."""
    from mesh_tensorflow.transformer import dataset as transformer_dataset

    documents = [[5, 6, 1], [7, 1], [8, 9, 1]]
    ragged = tf.data.Dataset.from_generator(
        lambda: ({"targets": ids} for ids in documents),
        output_signature={"targets": tf.TensorSpec([None], tf.int32)},
    )
    packed = next(transformer_dataset.pack_dataset(ragged, 10).as_numpy_iterator())
    segments, positions = train_rows.segments_of(tf.constant(packed["targets"]), EOS)
    np.testing.assert_array_equal(segments, packed["targets_segmentation"])
    np.testing.assert_array_equal(positions, packed["targets_position"])


def test_padding_has_no_segment(objective, lines):
    objective("chunks", "mesh_train_dataset_fn.shuffle = False")
    for row in fed(30):
        is_token = row["targets"] != 0
        np.testing.assert_array_equal(row["targets_segmentation"], is_token)
        np.testing.assert_array_equal(row["targets_position"], np.arange(LENGTH) * is_token)


def test_the_file_that_comes_last_decides(objective, lines):
    """T5's own `lm` is the same, whatever was listed before it."""
    objective("lm")
    plain = list(train_rows.train_rows({"inputs": 1, "targets": LENGTH}).take(1))
    assert int(plain[0]["targets"][-1]) in (0, EOS)
    expected = rows(20, seed=1, num_epochs=None)
    objective("lm_stream")
    assert not seqio.TaskRegistry.get("text").output_features["targets"].add_eos
    objective("lm")
    assert rows(20, seed=1, num_epochs=None) == expected
    assert all(row[-1] == EOS for row in expected)


def test_separate_documents_are_not_for_t5s_packing(objective):
    objective("lm", "train_rows.separate_documents = True")
    with pytest.raises(UsageError, match="train_rows.separate_documents"):
        fed(1)


def test_a_task_that_closes_its_rows_is_refused(objective, t5_gin):
    from t5.data import preprocessors

    features = {"targets": seqio.Feature(seqio.ByteVocabulary(), add_eos=True)}
    plain = {"targets": tf.data.Dataset.from_tensors({"targets": [5, 6]})}["targets"]
    for name in ("lm_documents", "chunks", "documents_random", "lm_stream"):
        objective(name, "lm_stream.columns = 2")
        with pytest.raises(UsageError, match="DocumentTask"):
            preprocessors.unsupervised(
                plain, output_features=features, sequence_length={"targets": LENGTH}
            )


@pytest.fixture
def cached(lines, tmp_path):
    """The same documents in seqio's own cache, whose files its tool would have written."""
    import json

    folder = str(tmp_path / "text")
    tf.io.gfile.makedirs(folder)
    path = seqio.get_cached_tfrecord_prefix(folder, "train") + "-00000-of-00001"
    with tf.io.TFRecordWriter(path) as writer:
        for text in lines:
            ids = tf.train.Int64List(value=tokens(text))
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
        ("stats", {"examples": len(lines), "targets_tokens": len(joined(lines)) - len(lines)}),
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
    assert rows(use_cached=True) == rows()
    with input_progress.reporting_to(input_progress.InputProgress()) as reading:
        rows(len(joined(lines)) // LENGTH + 2, use_cached=True, num_epochs=None)
    assert reading.describe_epochs(len(joined(lines)) - 1) == "epoch 1"
    assert reading.describe_epochs(len(joined(lines))) == "epoch 2"
