"""Plans of data sets: invalid settings, and settings that make two plans differ."""

import gin
import pytest

from primer.data.prepared import plan
from primer.data.sources import text_parts
from primer.errors import UsageError
from tests.data.prepared import helpers

pytestmark = pytest.mark.usefixtures("corpus_settings")


def test_invalid_settings_are_refused(tmp_path):
    for options, words in (
        ({"format": "arrow"}, "--format arrow: expected one of seqio, gpt_neo"),
        ({"shards": 0}, "--shards = 0"),
        ({"seed": -1}, "--seed = -1: expected a whole number of 0 or more"),
        ({"chunk_size": 8}, "--format gpt_neo"),
    ):
        with pytest.raises(UsageError, match=words):
            helpers.make(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_shard_has_64_mebibytes_of_input(monkeypatch):
    sizes = iter([0, 16 << 26, (16 << 26) + 1, 40 << 26])
    monkeypatch.setattr(text_parts, "total_bytes", lambda: next(sizes))
    shards = [plan.make_plan(helpers.TASK, "unused").shards for _ in range(4)]
    assert shards == [16, 16, 17, 40]


def test_settings_are_those_of_the_text_and_the_vocabulary(corpus):
    """Two runs with equal settings write equal shards; other settings are refused."""
    first = plan.make_plan(helpers.TASK, "one", shards=2).settings()
    assert first == plan.make_plan(helpers.TASK, "other", shards=2).settings()
    assert first["splits"] == ["train", "validation"] and "8192 ids" in first["vocabulary"]
    assert first["text_files"]["held_out"] == 0.1
    assert first["order"] == {"seed": 0, "version": 1}
    assert first != plan.make_plan(helpers.TASK, "one", shards=2, seed=1).settings()
    gin.bind_parameter("text_files.held_out", 0.2)
    assert first != plan.make_plan(helpers.TASK, "one", shards=2).settings()
    gin.bind_parameter("text_files.held_out", 0.1)
    gin.bind_parameter("task_vocabulary.name", "bytes")
    assert (
        plan.make_plan(helpers.TASK, "one", shards=2).settings()["vocabulary"] == "bytes, 259 ids"
    )


def test_a_mixture_is_refused_with_its_tasks():
    gin.parse_config("mixture.tasks = [('sotu', 1.0), ('text', 1.0)]")
    with pytest.raises(UsageError, match="mixture is a mixture; .* Its tasks: sotu, text"):
        plan.make_plan("mixture", "unused")
