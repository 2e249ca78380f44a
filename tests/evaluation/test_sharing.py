"""What two gin configurations share: equal texts and equal graphs, and nothing else."""

import importlib

import gin
import pytest

import primer.data.tasks  # noqa: F401
from primer.evaluation import sharing
from primer.evaluation.protocols import Protocol


class Closable:
    """Stands in for a scorer."""

    closed = False

    def close(self):
        self.closed = True


class Readings:
    """Stands in for a protocol; notes its readings."""

    def __init__(self, name="stream"):
        self.name, self.read = name, []

    def read_split(self, task, split, length):
        self.read.append((task, split, length))
        return object()


@pytest.mark.parametrize("name", sharing._NOT_TEXT)
def test_the_listed_modules_exist(name):
    """A module that is moved or renamed has to be renamed in the list."""
    importlib.import_module(name)


def text_of(protocol, task="sotu", split="validation", length=16):
    return sharing.shared_split(protocol, task, split, length)


def test_a_text_is_read_once_for_equal_settings_of_data():
    protocol = Readings()
    with sharing.shared_evaluation():
        first = text_of(protocol)
        gin.parse_config(["run_seed.seed = 3", "SelfAttention.dropout_rate = 0.5"])
        gin.parse_config("precision.activation_dtype = 'float32'")
        assert text_of(protocol) is first and len(protocol.read) == 1


@pytest.mark.parametrize(
    "binding",
    ["task_vocabulary.name = 'bytes'", "text_files.held_out = 0.4", "local_data.folder = '/x'"],
)
def test_another_setting_of_data_is_another_text(binding):
    protocol = Readings()
    with sharing.shared_evaluation():
        first = text_of(protocol)
        gin.parse_config(binding)
        assert text_of(protocol) is not first


def test_other_splits_and_rows_as_released_are_read_again():
    protocol, released = Readings(), Readings("as_released")
    with sharing.shared_evaluation():
        first = text_of(protocol)
        assert text_of(protocol, split="train") is not first
        assert text_of(released) is not text_of(released)


def test_nothing_is_shared_outside_of_the_block():
    protocol = Readings()
    with sharing.shared_evaluation() as shared:
        first = text_of(protocol)
        sharing.collect_rows([{"step": 1}])
        with sharing.shared_evaluation() as inner:
            sharing.collect_rows([{"step": 2}])
            assert text_of(protocol) is not first
        sharing.collect_rows([{"step": 3}])
        assert text_of(protocol) is first
    assert shared.rows == [{"step": 1}, {"step": 3}] and inner.rows == [{"step": 2}]
    assert text_of(protocol) is not first
    sharing.collect_rows([{"step": 4}])
    assert len(shared.rows) == 2
    with sharing.shared_scorer(Closable, 1) as scorer:
        assert not scorer.closed
    assert scorer.closed


def test_a_scorer_is_shared_by_equal_keys():
    def scorer_of(key):
        with sharing.shared_scorer(Closable, key) as scorer:
            return scorer

    with sharing.shared_evaluation():
        first = scorer_of("a")
        assert scorer_of("a") is first and not first.closed
        second = scorer_of("b")
        assert second is not first and first.closed  # One graph at a time is in memory.
    assert second.closed


def test_a_text_that_cannot_be_read_is_not_remembered():
    class Broken(Readings):
        def read_split(self, task, split, length):
            raise OSError("lost")

    with sharing.shared_evaluation():
        with pytest.raises(OSError):
            text_of(Broken())
        protocol = Readings()
        assert text_of(protocol) is text_of(protocol) and len(protocol.read) == 1


def test_a_real_protocol_reads_the_split():
    with sharing.shared_evaluation():
        text = text_of(Protocol("stream"))
    assert len(text.lengths) == 12
