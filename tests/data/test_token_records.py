"""GPT-Neo's TFRecords in: those of `primer data prepare`, and others' ids."""

import json

import gin
import pytest
import seqio
import tensorflow as tf

from primer.checkpoints import vocabulary_copy
from primer.data import preflight, whole_documents
from primer.data.prepared import plan, pool, prepare
from primer.errors import UsageError
from tests.data import parsing
from tests.data.vocabularies import tokenizers_made

TASK = "gpt_neo_records"


def bind(**settings):
    for name, value in settings.items():
        gin.bind_parameter(f"gpt_neo_records.{name}", value)


def write(path, *documents, feature="text"):
    """Records by TensorFlow's own writer and protobuf."""
    with tf.io.TFRecordWriter(str(path)) as file:
        for ids in documents:
            example = tf.train.Example()
            example.features.feature[feature].int64_list.value.extend(ids)
            file.write(example.SerializeToString())
    return path


def read(split="train", **options):
    gin.bind_parameter("unsupervised.preprocessors", [lambda dataset, **_: dataset])
    dataset = seqio.TaskRegistry.get(TASK).get_dataset(
        {"targets": 100_000}, split, **{"shuffle": False, **options}
    )
    return [example["targets"].tolist() for example in dataset.as_numpy_iterator()]


def test_records_of_primer_data_prepare_are_read_unchanged(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"document {n}, \u2603\n" for n in range(40)))
    gin.bind_parameter("text_files.glob", str(tmp_path / "a.txt"))
    gin.bind_parameter("text_files.unit", "line")
    gin.bind_parameter("text_files.held_out", 0.3)
    made = plan.make_plan("text", str(tmp_path / "out"), "gpt_neo", 2)
    nothing = lambda number: None  # noqa: E731
    prepare.prepare(
        made, lambda b: pool.write_shards(b.plan, b.remaining, 1, None, nothing, nothing)
    )
    found = 0
    for split, name in (("train", "glob"), ("validation", "validation_glob")):
        bind(**{name: str(tmp_path / "out" / "text" / f"{split}_*.tfrecords")})
        # The objective adds an end token; the records' own is before it.
        expected = [[*ids.tolist(), 1, 1] for _, ids in whole_documents.documents("text", split)]
        preflight.check_split(TASK, split, model_vocab_size=8192)
        assert sorted(read(split)) == sorted(expected)
        found += len(expected)
    assert found == 40


def test_ids_of_another_vocabulary_make_room_for_padding(tmp_path):
    """GPT-2's id 0 is a token; Mesh-TensorFlow leaves id 0 out of the loss."""
    write(tmp_path / "gpt2_0_2.tfrecords", [0, 15496, 50256], [995, 0])
    bind(glob=str(tmp_path / "*"), vocabulary_size=50257, end_token=50256)
    preflight.check_split(TASK, "train", model_vocab_size=50258)
    assert read() == [[1, 15497, 50257, 50257], [996, 1, 50257]]
    vocabulary = seqio.TaskRegistry.get(TASK).output_features["targets"].vocabulary
    assert (vocabulary.vocab_size, vocabulary.eos_id) == (50258, 50257)
    with pytest.raises(UsageError, match="50258 ids and the model 50257"):
        preflight.check_split(TASK, "train", model_vocab_size=50257)
    # A run records it beside its checkpoints.
    record = vocabulary_copy.save_copy(str(tmp_path / "run"), vocabulary)["vocabulary_copy"]
    assert record == {
        "setting": {"name": "ids, 50257, end 50256", "model_file": None, "extra_ids": 0}
    }
    bind(end_token=None)
    with pytest.raises(UsageError, match="gpt_neo_records.end_token is None"):
        preflight.check_split(TASK, "train", model_vocab_size=50258)


def test_shuffling_follows_the_seed(tmp_path):
    for number in range(6):
        write(tmp_path / f"{number}.tfrecords", *([number, line] for line in range(2, 40)))
    bind(glob=str(tmp_path / "*"))
    assert sorted(read(shuffle=True, seed=1)) == sorted(read())
    assert read(shuffle=True, seed=1) == read(shuffle=True, seed=1) != read(shuffle=True, seed=2)


def refused(split="train"):
    with pytest.raises(UsageError) as error:
        preflight.check_split(TASK, split)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_damage_is_named(tmp_path):
    assert "gpt_neo_records.glob is not set" in refused()
    assert "gpt_neo_records.validation_glob is not set" in refused("validation")
    bind(glob=str(tmp_path / "*"))
    assert "matches no file" in refused()
    path = write(tmp_path / "a_0_3.tfrecords", [2, 3], [4, 5], [6])
    preflight.check_split(TASK, "train")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert "a_0_3.tfrecords ends inside its record 3" in refused()
    path.write_bytes(whole[: len(whole) // 2])
    assert "ends inside its record 2" in refused()
    write(path, [2, 3], [4, 5])
    assert "has 2 records; expected the 3 of its name" in refused()
    write(path, [2], [3], [8192])
    preflight.check_split(TASK, "train")
    write(path, [8192], [3], [4])
    assert "ids from 8192 to 8192; expected ids below 8,192" in refused()
    write(path, [2], [3], [4], feature="targets")
    assert "no int64 feature 'text'" in refused()
    path.write_bytes(b"This is no TFRecord file at all, but a text of some length.")
    assert "no TFRecord file" in refused()
    assert list(parsing.ids(tmp_path, "none", "text")) == []


def test_the_files_of_a_split_are_its_input(tmp_path):
    path = write(tmp_path / "a_1.tfrecords", [5])
    bind(glob=str(tmp_path / "*.tfrecords"))
    assert seqio.TaskRegistry.get(TASK).source.input_files("train") == [str(path)]


def test_ids_of_a_tokenizer_are_its_own_in_the_files(tmp_path):
    pytest.importorskip("tokenizers", reason="needs the extra huggingface")
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(json.dumps(tokenizers_made.golden()["gpt2"]["tokenizer"]))
    gin.bind_parameter("task_vocabulary.name", "huggingface")
    gin.bind_parameter("task_vocabulary.model_file", str(tokenizer))
    vocabulary = seqio.TaskRegistry.get(TASK).output_features["targets"].vocabulary
    ids = vocabulary.encode("!the union")
    assert ids[0] == 1 and vocabulary.eos_id == 401
    (tmp_path / "a.txt").write_text("!the union")
    gin.bind_parameter("text_files.glob", str(tmp_path / "a.txt"))
    gin.bind_parameter("text_files.held_out", 0.0)
    made = plan.make_plan("text", str(tmp_path / "out"), "gpt_neo", 1)
    nothing = lambda number: None  # noqa: E731
    prepare.prepare(
        made, lambda b: pool.write_shards(b.plan, b.remaining, 1, None, nothing, nothing)
    )
    (path,) = (tmp_path / "out" / "text").glob("train_*_1.tfrecords")
    (record,) = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    stored = tf.train.Example.FromString(record).features.feature["text"].int64_list.value
    assert list(stored) == [*(number - 1 for number in ids), 400]
    bind(glob=str(path))
    preflight.check_split(TASK, "train", model_vocab_size=402)
    assert read() == [[*ids, 401, 401]]
