"""Mixtures in gin: rates against seqio's, the drawn proportions, invalid settings."""

import gin
import numpy as np
import pytest
import seqio
import tensorflow as tf

from primer.data import mixture, preflight, tasks, whole_documents
from primer.data.document_task import DocumentTask
from primer.data.vocabularies.task_vocabulary import TaskVocabulary
from primer.errors import UsageError

SIZES = {"few": 40, "some": 300, "many": 900}
LENGTH = {"inputs": 1, "targets": 8}


def _documents(word, number, split, shuffle_files=False, seed=None):
    return tf.data.Dataset.from_tensors({"targets": word}).repeat(number)


@pytest.fixture(scope="module", autouse=True)
def three_tasks():
    """Tasks of documents of one letter each, whose number of examples seqio knows."""
    for name, size in SIZES.items():
        seqio.TaskRegistry.add(
            name,
            source=seqio.FunctionDataSource(
                lambda split, shuffle_files, seed=None, w=name[0] * 9, n=size: _documents(
                    w, n, split
                ),
                splits=["train"],
                num_input_examples={"train": size},
            ),
            preprocessors=seqio.TaskRegistry.get("sotu").preprocessors[1:],
            output_features=tasks._features(TaskVocabulary("bytes")),
            task_cls=DocumentTask,
        )
    yield
    for name in SIZES:
        seqio.TaskRegistry.remove(name)


def configure(*bindings):
    import t5.data.preprocessors  # noqa: F401

    gin.parse_config(
        "preprocessors.unsupervised.preprocessors = [@preprocessors.split_tokens_to_targets_length]"
    )
    gin.parse_config([*bindings])
    return seqio.get_mixture_or_task("mixture")


def rate(found, name):
    return found.get_rate(seqio.TaskRegistry.get(name))


@pytest.mark.parametrize("cap", [None, 250])
@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_proportional_rates_are_seqios(cap, temperature):
    """Examples-proportional mixing with seqio's own function as the oracle."""
    found = configure(
        f"mixture.tasks = {list(SIZES)}",
        f"mixture.cap = {cap}",
        f"mixture.temperature = {temperature}",
    )
    for name in SIZES:
        task = seqio.TaskRegistry.get(name)
        expected = seqio.mixing_rate_num_examples(task, maximum=cap, temperature=temperature)
        assert rate(found, name) == pytest.approx(expected)


def test_caps_and_temperature_apply_to_set_rates():
    found = configure(
        'mixture.tasks = [("few", 9.0), ("some", "proportional"), ("many", 4)]',
        'mixture.cap = {"some": 100}',
        "mixture.temperature = 2.0",
    )
    assert [rate(found, name) for name in SIZES] == pytest.approx([3.0, 10.0, 2.0])
    assert found.total_rate == pytest.approx(15.0)


def drawn(found, number=1000, seed=1):
    dataset = found.get_dataset(LENGTH, "train", seed=seed).take(number)
    return [example["targets"][0] - 3 for example in dataset.as_numpy_iterator()]


def test_rows_are_drawn_in_these_proportions():
    found = configure('mixture.tasks = [("few", 1.0), ("some", 2.0), ("many", 5.0)]')
    letters = drawn(found)
    for name, share in (("few", 1 / 8), ("some", 2 / 8), ("many", 5 / 8)):
        # Four standard deviations of a binomial share; `few` has been read many times.
        bound = 4 * np.sqrt(share * (1 - share) / len(letters))
        assert abs(letters.count(ord(name[0])) / len(letters) - share) < bound
    assert letters[:100] == drawn(found, 100) != drawn(found, 100, seed=2)


def test_the_settings_are_read_at_each_use():
    found = configure('mixture.tasks = [("few", 1.0)]')
    assert [task.name for task in found.tasks] == ["few"] and found.splits == ("train",)
    configure('mixture.tasks = [("some", 1.0), ("many", 1.0)]')
    assert {task.name for task in seqio.get_subtasks(found)} == {"some", "many"}
    assert found.output_features["targets"].vocabulary.vocab_size == 259
    assert found.num_input_examples("train") == 1200


@pytest.mark.parametrize(
    "bindings, message",
    [
        ([], r"mixture.tasks is \(\); name the tasks"),
        (["mixture.tasks = []"], "name the tasks to mix"),
        (["mixture.tasks = 'few'"], "name the tasks to mix"),
        (["mixture.tasks = ['fw']"], "mixture.tasks names 'fw'; expected one of"),
        (["mixture.tasks = ['few', 'few']"], "each task once"),
        (["mixture.tasks = [('few', 1.0, 2.0)]"], "each task once"),
        (
            ["mixture.tasks = [('few', 0.0)]"],
            "the rate of 'few' = 0.0: expected a number above 0, or 'proportional'",
        ),
        (["mixture.tasks = [('few', -1)]"], "the rate of 'few' = -1"),
        (["mixture.tasks = [('few', 'large')]"], "the rate of 'few' = 'large'"),
        (["mixture.tasks = ['few']", "mixture.temperature = 0"], "mixture.temperature = 0"),
        (["mixture.tasks = ['few']", "mixture.cap = -5"], "mixture.cap = -5"),
        (["mixture.tasks = ['few']", "mixture.cap = {'some': 5}"], "mixture.cap names 'some'"),
    ],
)
def test_an_invalid_mixture_is_refused_in_one_line(bindings, message):
    configure(*bindings)
    with pytest.raises(UsageError, match=message) as error:
        preflight.check_split("mixture", "train")
    assert "\n" not in str(error.value)


def test_each_task_is_checked():
    configure("mixture.tasks = [('sotu', 1.0), ('text', 1.0)]")
    with pytest.raises(UsageError, match="text_files.glob is not set"):
        preflight.check_split("mixture", "train")
    configure("mixture.tasks = [('sotu', 1.0), ('few', 1.0)]")
    with pytest.raises(UsageError, match="task few has no split 'validation'"):
        preflight.check_split("mixture", "validation")


def test_different_vocabularies_are_refused():
    configure("mixture.tasks = [('sotu', 1.0), ('few', 1.0)]")
    with pytest.raises(UsageError, match="tasks few and sotu have different vocabularies"):
        preflight.check_split("mixture", "train")
    gin.bind_parameter("task_vocabulary.name", "bytes")
    preflight.check_split("mixture", "train")


def test_a_stream_is_not_mixed():
    from primer.data.objectives import row_objectives  # noqa: F401

    configure("mixture.tasks = ['few', 'some']", "unsupervised.preprocessors = [@lm_stream]")
    with pytest.raises(UsageError, match="at random, and lm_stream's rows continue"):
        preflight.check_split("mixture", "train")
    configure("mixture.tasks = ['few']")
    preflight.check_split("mixture", "train")


def test_documents_of_our_sources_are_counted(tmp_path, tfds_dir):
    (tmp_path / "lines.txt").write_text("one\ntwo\n\nthree\n")
    gin.parse_config(
        f"text_files.glob = '{tmp_path}/*.txt'\ntext_files.unit = 'line'\ntext_files.held_out = 0.0"
    )
    counted = {
        name: mixture.count_examples(seqio.TaskRegistry.get(name)) for name in ("sotu", "text")
    }
    assert counted == {"sotu": 224, "text": 3}
    lm1b = seqio.TaskRegistry.get("lm1b_autoregressive_language_modeling")
    in_tfds = sum(1 for _ in lm1b.source.get_dataset("train", shuffle=False))
    assert mixture.count_examples(lm1b) == in_tfds > 0
    gin.bind_parameter("text_files.held_out", 0.999999)
    with pytest.raises(UsageError, match="number of examples of 'text' is 0"):
        mixture.count_examples(seqio.TaskRegistry.get("text"))


def test_evaluation_reads_the_tasks_one_after_the_other(tmp_path):
    (tmp_path / "lines.txt").write_text("one\ntwo\nthree\n")
    configure(
        "mixture.tasks = [('text', 1.0), ('sotu', 1.0)]",
        f"text_files.glob = '{tmp_path}/*.txt'",
        "text_files.unit = 'line'",
        "text_files.held_out = 0.999999",
    )
    texts = [text for text, _ in whole_documents.documents("mixture", "validation")]
    alone = [text for text, _ in whole_documents.documents("sotu", "validation")]
    assert texts == [*alone, "one", "two", "three"]
