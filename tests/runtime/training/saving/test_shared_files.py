"""Which host has the files of checkpoints; tests/runtime/test_cluster.py has two processes."""

import pytest
import tensorflow.compat.v1 as tf

from primer.checkpoints import variable_slices
from primer.runtime import cluster
from primer.runtime.training.saving import shared_files

HOSTS = cluster.Cluster((("worker", 0, "a:1"), ("worker", 1, "b:2"), ("worker", 2, "c:3")), 0)
OTHER = "/job:worker/task:2/device:CPU:0"
FIRST = "/job:worker/task:0/device:CPU:0"


@pytest.mark.parametrize(
    "seen, host",
    [([b"x", b"x", b"x"], OTHER), ([b"x", b"x", None], FIRST), ([b"x", b"y", b"x"], FIRST)],
)
def test_a_host_that_reads_other_files_leaves_them_to_the_first(
    monkeypatch, tmp_path, capsys, seen, host
):
    monkeypatch.setattr(shared_files, "_contents", lambda hosts, path: seen)
    with tf.Graph().as_default():
        shared_files.choose_host(HOSTS, str(tmp_path), None)
        assert variable_slices.file_host(OTHER) == host
    message = capsys.readouterr().err
    assert not message if host == OTHER else "which therefore reads and writes" in message
    assert not list(tmp_path.iterdir())


def test_the_weights_that_a_run_starts_from_are_read_by_all_or_by_the_first(monkeypatch, tmp_path):
    def contents(hosts, path):
        return [b"x", b"x", None if path == "/other/model.ckpt-3.index" else b"x"]

    monkeypatch.setattr(shared_files, "_contents", contents)
    with tf.Graph().as_default():
        shared_files.choose_host(HOSTS, str(tmp_path), "/other/model.ckpt-3")
        assert variable_slices.file_host(OTHER) == FIRST


def test_one_process_reads_its_own_files(tmp_path):
    with tf.Graph().as_default():
        shared_files.choose_host(None, str(tmp_path), None)
        assert variable_slices.file_host("") == "/device:CPU:0"
