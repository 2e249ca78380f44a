"""The gin files of data sets set the task, objective, batch, length and steps of a run."""

import gin
import pytest
import seqio

from primer.data import tasks
from primer.gin_config import config_files

NAMES = config_files.names_of_kind("datasets")


@pytest.fixture
def parse(t5_gin):
    """Returns a function that parses the defaults, then the file of a data set."""
    gin.add_config_file_search_path(config_files.gin_directory())
    gin.add_config_file_search_path(t5_gin)

    def read(name):
        for path in (config_files.MODEL_DEFAULTS, config_files.gin_file("datasets", name)):
            gin.parse_config_file(path)

    return read


# Row lengths other than 512 tokens, from the papers.
LENGTHS = {
    "lm1b": 64,
    "sotu": 256,
    "wikitext103": 150,
    "wikitext2": 70,
    "ptb": 70,
    "lm1b_words": 32,
    **dict.fromkeys(tasks.PROBES, 64),
}


def test_every_task_has_a_file():
    named = {name.split("_autoregressive")[0].removesuffix("_v220") for name in tasks.NAMES}
    assert NAMES == sorted({*named, "mixture"})


@pytest.mark.parametrize("name", NAMES)
def test_a_file_sets_task_batch_length_steps_schedule_and_vocabulary(parse, name):
    parse(name)
    task = seqio.get_mixture_or_task(gin.query_parameter("%MIXTURE_NAME"))
    assert task.name.startswith(name)
    assert gin.query_parameter("utils.run.model_type") == "lm"
    unit, tokens = gin.query_parameter("utils.run.batch_size")
    length = gin.query_parameter("utils.run.sequence_length")
    assert unit == "tokens_per_batch" and tokens % length["targets"] == 0
    assert length == {"inputs": 1, "targets": LENGTHS.get(name, 512)}
    assert 0 < gin.query_parameter("utils.run.train_steps") <= 1_000_000
    assert gin.query_parameter("usual_schedule/macro.value").selector.endswith("schedule_noam")
    assert gin.query_parameter("learning_rate_schedule_noam.linear_decay_fraction") == 0.0
    # The ids of `synthetic` and of probes are of no vocabulary.
    own_ids = name in ("synthetic", *tasks.PROBES)
    if not own_ids and gin.query_parameter("task_vocabulary.name") == "words":
        gin.bind_parameter("task_vocabulary.model_file", "the user's own")
    own = task.output_features["targets"].vocabulary.choice()
    with gin.unlock_config():
        gin.bind_parameter("task_vocabulary.name", None)
    assert own == task.output_features["targets"].vocabulary.choice()


# name -> rows per batch, tokens per row, steps. Sources: the published command of Primer (first
# three), Transformer-XL's base models (next four), AWD-LSTM with 750 epochs (last two).
PUBLISHED = {
    "c4": (128, 512, 1_000_000),
    "pg19": (128, 512, 1_000_000),
    "lm1b": (1024, 64, 1_000_000),
    "wikitext103": (60, 150, 200_000),
    "enwik8": (22, 512, 400_000),
    "text8": (22, 512, 400_000),
    "lm1b_words": (224, 32, 500_000),
    "wikitext2": (80, 70, 280_000),
    "ptb": (40, 70, 250_000),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_length_batch_and_steps_are_those_of_its_paper(parse, name):
    parse(name)
    rows, length, steps = PUBLISHED[name]
    assert gin.query_parameter("utils.run.sequence_length")["targets"] == length
    assert gin.query_parameter("utils.run.batch_size") == ("tokens_per_batch", rows * length)
    assert gin.query_parameter("utils.run.train_steps") == steps


def test_the_objective_makes_chunks_of_the_length(parse, eager):
    parse("sotu")
    length = gin.query_parameter("utils.run.sequence_length")
    dataset = seqio.get_mixture_or_task("sotu").get_dataset(length, "validation", shuffle=False)
    sizes = [len(example["targets"]) for example in dataset.take(100).as_numpy_iterator()]
    assert set(sizes) == {256}
