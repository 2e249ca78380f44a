"""Shards written by several processes."""

import gin
import pytest

from primer.data.prepared import plan, pool, prepare
from primer.errors import UsageError
from tests.data.prepared import helpers, slow_worker

pytestmark = pytest.mark.usefixtures("corpus_settings")


def test_worker_processes_write_the_same_bytes(prepared, tmp_path):
    made = plan.make_plan(helpers.TASK, str(tmp_path), shards=3)
    prepare.prepare(made, lambda begun: helpers.write(begun, workers=2))
    names = ("*.tfrecord*", "*.npy", "*.json")
    for pattern in names:
        assert helpers.files(tmp_path / helpers.TASK, pattern) == helpers.files(
            prepared[0] / helpers.TASK, pattern
        )


def test_the_shards_in_this_process_are_counted(corpus, tmp_path):
    made = plan.make_plan(helpers.TASK, str(tmp_path), shards=2)
    sizes, finished = [], []

    def write(preparation):
        assert preparation.remaining == [0, 1]
        pool.write_shards(made, preparation.remaining, 1, None, sizes.append, finished.append)

    prepare.prepare(made, write)
    assert finished == [0, 1]
    assert sum(sizes) == sum(path.stat().st_size for path in corpus.glob("*.txt"))


@pytest.mark.slow
def test_an_error_of_a_worker_process_is_that_of_its_shard(tmp_path):
    (tmp_path / "a.txt").write_text("one\n" * 10)
    gin.bind_parameter("text_files.glob", str(tmp_path / "a.txt"))
    gin.bind_parameter("text_files.unit", "line")
    made = plan.make_plan(helpers.TASK, str(tmp_path / "out"), shards=2)
    (tmp_path / "a.txt").write_bytes(b"one\n" * 5 + b"\xff\n" * 5)
    with pytest.raises(UsageError, match="a.txt is not UTF-8"):
        prepare.prepare(made, lambda preparation: helpers.write(preparation, workers=2))
    assert not (tmp_path / "out" / "text" / "COMPLETED").exists()


def test_a_signal_does_not_wait_for_the_worker_processes(tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(pool.futures, "wait", interrupted)
    made = slow_worker.Plan(str(tmp_path / "begun"))
    with pytest.raises(KeyboardInterrupt):
        pool.write_shards(made, [0, 1], 2, slow_worker.initialize, len, len)
    assert not (tmp_path / "begun").exists()
