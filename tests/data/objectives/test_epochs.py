"""Reading continues from a saved position with the same rows; epochs are counted."""

import gin
import numpy as np
import pytest
import seqio
import tensorflow.compat.v1 as tf

from primer.common import input_progress
from primer.data import mixture, tasks  # noqa: F401
from primer.data.objectives import epochs
from primer.gin_config import config_files

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
        gin.parse_config("import primer.data.objectives.row_objectives\nlm_stream.columns = 4")

    return choose


def read(tmp_path, restore=None, save_after=None, number=60, progress=None, task="text", **options):
    """Rows of training, from a saved position or with one saved after `save_after` rows."""
    if task == "text":
        options["shuffle_buffer_size"] = 20
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        with input_progress.reporting_to(progress or input_progress.InputProgress()):
            dataset = seqio.get_mixture_or_task(task).get_dataset(
                LENGTH, "train", num_epochs=None, seed=3, **options
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


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_reading_continues_from_a_saved_position(text, tmp_path, objective, shuffle):
    """In the middle of an epoch, of stored documents (shuffled) and of a stream."""
    text(objective)
    whole, path = read(tmp_path, save_after=37, shuffle=shuffle)
    assert read(tmp_path, restore=path, number=60 - 37, shuffle=shuffle) == whole[37:]
    assert any(whole[37:])


@pytest.mark.parametrize("objective", ["lm", "lm_documents"])
def test_a_mixture_continues_from_a_saved_position(text, tmp_path, objective):
    """Its tasks have orders of their own, and the draws between them continue too."""
    text(objective)
    gin.parse_config("mixture.tasks = [('sotu', 1.0), ('text', 3.0)]")
    whole, path = read(tmp_path, save_after=137, number=200, task="mixture")
    again = read(tmp_path, restore=path, number=200 - 137, task="mixture")
    assert again == whole[137:] and read(tmp_path, number=200, task="mixture") == whole


def test_counting_epochs_changes_no_row(text, tmp_path, monkeypatch):
    text("lm")
    counted = read(tmp_path, shuffle=False)
    monkeypatch.setattr(input_progress, "current", lambda: None)
    assert read(tmp_path, shuffle=False) == counted


def count(times, take):
    """The sizes reported while documents of 1 to 40 tokens and an end token are read."""
    sizes = []
    ids = tf.data.Dataset.range(1, 41).map(lambda n: {"targets": tf.ones([n], tf.int32)})
    report = lambda *size: sizes.append(size)  # noqa: E731
    dataset = epochs.repeat_and_count(ids, times, report, lambda n: n + 1).take(take)
    found = [len(example["targets"]) for example in dataset.as_numpy_iterator()]
    assert found == list(np.tile(range(1, 41), 4)[: len(found)])
    return len(found), sizes


def test_the_size_of_an_epoch_is_reported_after_the_first(eager):
    number, sizes = count(None, 40)
    assert number == 40 and set(sizes) <= {(0, 0), (40, 820 + 40)} and sizes[0] == (0, 0)
    number, sizes = count(None, 150)
    assert number == 150 and sizes[0] == (0, 0) and set(sizes[1:]) == {(40, 860)}
    assert count(2, 1000)[0] == 80


@pytest.mark.parametrize("objective", ["lm_documents", "lm_stream"])
def test_an_epoch_has_the_tokens_that_are_trained_on(text, tmp_path, objective):
    text(objective)
    progress = input_progress.InputProgress()
    rows = read(tmp_path, progress=progress, number=120)
    assert progress.columns == (4 if objective == "lm_stream" else None)
    # Of the sixty numbers twenty have one line and twenty two.
    tokens = sum(len(f"{n} and {n * n}") + 1 for n in range(60) for _ in range(n % 3))
    assert (
        progress.describe_epochs(tokens - 1) == "epoch 1"
        and progress.describe_epochs(tokens) == "epoch 2"
    )
    assert sum(row.count(1) for row in rows) >= 60 * (120 * 16 // tokens) - 4


def test_a_resumed_run_soon_knows_the_size_of_an_epoch(text, tmp_path):
    text("lm_documents")
    _, path = read(tmp_path, save_after=150, number=150, shuffle=False)
    progress, first = input_progress.InputProgress(), input_progress.InputProgress()
    # More than the prefetched rows.
    read(tmp_path, restore=path, number=300, progress=progress, shuffle=False)
    read(tmp_path, progress=first, number=210, shuffle=False)
    assert progress.describe_epochs(3360) == first.describe_epochs(3360) != "epoch 1"
