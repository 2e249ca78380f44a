"""What is read after a saved position is what would have been read; passes are counted."""

import gin
import numpy as np
import pytest
import seqio
import tensorflow.compat.v1 as tf

from primer import config_files, passes
from primer.data import epochs, tasks  # noqa: F401

LENGTH = {"inputs": 1, "targets": 16}
OBJECTIVES = ["lm", "lm_documents", "lm_stream", "documents_random", "chunks"]


@pytest.fixture
def text(t5_gin, tmp_path):
    """Forty lines, and a function that parses an objective's file."""
    import t5.models.mesh_transformer  # noqa: F401

    (tmp_path / "lines.txt").write_text("".join(f"{n} and {n * n}\n" * (n % 3) for n in range(60)))
    gin.add_config_file_search_path(config_files.gin_directory())
    gin.parse_config(
        [
            'include "dataset.gin"',
            f'text_files.glob = "{tmp_path}/lines.txt"',
            'text_files.unit = "line"',
            "text_files.held_out = 0.0",
            'task_vocabulary.name = "bytes"',
            "reduce_concat_tokens.batch_size = 8",
        ]
    )

    def choose(objective):
        gin.parse_config_file(f"objectives/{objective}.gin")
        gin.parse_config("import primer.data.objectives\nlm_stream.columns = 4")

    return choose


def read(tmp_path, restore=None, save_after=None, number=60, reading=None):
    """Rows of training, from a saved position or with one saved on the way."""
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        with passes.listening(reading or passes.Reading()):
            dataset = seqio.get_mixture_or_task("text").get_dataset(
                LENGTH, "train", num_epochs=None, seed=3, shuffle_buffer_size=20
            )
        iterator = tf.data.make_initializable_iterator(dataset)
        following = iterator.get_next()["targets"]
        saver = tf.train.Saver([tf.data.experimental.make_saveable_from_iterator(iterator, "warn")])
        rows = []
        with tf.Session() as session:
            session.run(iterator.initializer)
            if restore:
                saver.restore(session, restore)
            while len(rows) < number:
                rows.append(session.run(following).tolist())
                if len(rows) == save_after:
                    path = saver.save(session, str(tmp_path / "position"), write_meta_graph=False)
    return (rows, path) if save_after else rows


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_reading_goes_on_from_a_saved_position(text, tmp_path, objective):
    text(objective)
    whole, path = read(tmp_path, save_after=37)
    assert read(tmp_path, restore=path, number=60 - 37) == whole[37:]
    assert any(whole[37:])


def test_whoever_listens_changes_nothing(text, tmp_path, monkeypatch):
    text("lm")
    counted = read(tmp_path)
    monkeypatch.setattr(passes, "listener", lambda: None)
    assert read(tmp_path) == counted


def count(times, take, reading):
    """Reads five documents of 1 to 5 tokens, counted."""

    def documents():
        ids = tf.data.Dataset.range(1, 6).map(lambda n: {"targets": tf.ones([n], tf.int32)})
        return epochs.repeated(ids, times, "five", reading).take(take)

    found = [len(example["targets"]) for example in documents().as_numpy_iterator()]
    assert found == list(np.tile(range(1, 6), 4)[: len(found)])
    return len(found)


def test_epochs_are_counted_where_they_begin(eager):
    reading = passes.Reading()
    assert reading.epochs(10) == "" and reading.news() == []
    assert count(None, 5, reading) == 5
    assert reading.epochs(10) == "epoch 1" and reading.news() == []
    assert count(None, 16, reading) == 16
    assert reading.news() == [
        "five: all 5 documents (15 tokens) have been read once; epoch 2 begins."
    ]
    assert reading.news() == []
    # Read are four epochs, trained on are the tokens of so many.
    assert [reading.epochs(n) for n in (0, 14, 15, 44, 45)] == [
        f"epoch {n}" for n in (1, 1, 2, 3, 4)
    ]
    assert count(2, 100, passes.Reading()) == 10


def test_of_several_tasks_the_line_says_what_is_read():
    reading = passes.Reading()
    reading.note("b", 3, 5, 50)
    reading.note("a", 1, 0, 0)
    assert reading.epochs(1000) == "reading epoch a 1, b 3"


@pytest.mark.parametrize("objective", ["lm_documents", "lm_stream"])
def test_an_epoch_has_the_tokens_that_are_trained_on(text, tmp_path, objective):
    text(objective)
    reading = passes.Reading()
    rows = read(tmp_path, reading=reading, number=120)
    assert reading.columns == (4 if objective == "lm_stream" else None)
    (line,) = reading.news()
    # Of the sixty numbers twenty have one line and twenty two.
    tokens = sum(len(f"{n} and {n * n}") + 1 for n in range(60) for _ in range(n % 3))
    assert line.startswith(f"text: all 60 documents ({tokens:,} tokens)")
    assert reading.epochs(tokens - 1) == "epoch 1" and reading.epochs(tokens) == "epoch 2"
    assert sum(row.count(1) for row in rows) >= 60 * (120 * 16 // tokens) - 4


def test_a_resumed_run_soon_knows_its_epoch(text, tmp_path):
    text("lm_documents")
    _, path = read(tmp_path, save_after=150, number=150)
    reading, first = passes.Reading(), passes.Reading()
    read(tmp_path, restore=path, number=1, reading=reading)
    assert reading.epochs(2400) == ""  # Better nothing than a wrong number.
    read(tmp_path, restore=path, number=60, reading=reading)
    read(tmp_path, reading=first, number=210)
    assert reading.epochs(3360) == first.epochs(3360) != "epoch 1"
