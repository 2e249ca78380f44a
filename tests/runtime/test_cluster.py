"""Two processes on loopback train one model; the loss is that of one process."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import gin
import numpy as np
import pytest

from primer.errors import UsageError
from primer.runtime import cluster
from tests.paths import ROOT
from tests.runtime import tiny


def environment(addresses, index):
    task = {"type": "worker", "index": index}
    return {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task})}


def free_addresses(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def start_host(addresses, index, model_dir, *bindings):
    command = [sys.executable, "-m", "tests.runtime.cluster_host", str(model_dir), *bindings]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment(addresses, index)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_no_cluster_without_tf_config_or_with_one_host():
    assert cluster.from_environment({}) is None
    assert cluster.from_environment(environment(["a:1"], 0)) is None


def test_the_first_worker_is_the_chief():
    found = cluster.from_environment(environment(["a:1", "b:2"], 1))
    assert not found.is_chief
    assert found.devices()[1] == "/job:worker/task:1/device:CPU:0"


@pytest.mark.parametrize("text", ["{", '{"cluster": {"worker": ["a:1", "b:2"]}}', "[1]"])
def test_a_bad_tf_config_is_one_line(text):
    with pytest.raises(UsageError, match="TF_CONFIG"):
        cluster.from_environment({"TF_CONFIG": text})


def test_two_hosts_train_as_one(tmp_path):
    addresses = free_addresses(2)
    worker = start_host(addresses, 1, tmp_path / "both", "dropout_rate = 0.0")
    chief = start_host(addresses, 0, tmp_path / "both", "dropout_rate = 0.0")
    tiny.run(tmp_path / "one", "dropout_rate = 0.0")
    _, said = chief.communicate(timeout=300)
    assert chief.returncode == 0, said
    assert "mesh batch:2" in said
    assert worker.wait(timeout=300) == 0
    together, alone = tiny.variables(tmp_path / "both", 6), tiny.variables(tmp_path / "one", 6)
    for name, value in alone.items():
        np.testing.assert_allclose(together[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_a_host_that_dies_stops_the_run_with_one_message(tmp_path):
    addresses = free_addresses(2)
    many = ("utils.run.train_steps = 100000", "utils.run.save_checkpoints_steps = 20")
    worker = start_host(addresses, 1, tmp_path, *many)
    chief = start_host(addresses, 0, tmp_path, *many)
    deadline = time.monotonic() + 120
    while not (tmp_path / "model.ckpt-20.index").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    worker.kill()
    worker.wait()
    _, said = chief.communicate(timeout=300)
    assert chief.returncode == 1, said
    assert "a host of TF_CONFIG's cluster is gone" in said
    assert "Traceback" not in said


def test_only_training_takes_hosts(monkeypatch):
    text = environment(["a:1", "b:2"], 0)["TF_CONFIG"]
    monkeypatch.setenv("TF_CONFIG", text)
    assert len(cluster.of_this_run().tasks) == 2
    with gin.unlock_config():
        gin.parse_config("import mesh_tensorflow.transformer.utils\nutils.run.mode = 'eval'")
    assert cluster.of_this_run() is None


def test_a_host_that_never_comes_ends_the_wait(monkeypatch):
    said = []

    def leave(message):
        said.append(message)
        raise SystemExit(1)

    monkeypatch.setattr(cluster, "START_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(cluster, "_leave", leave)
    hosts = cluster.Cluster((("worker", 0, "127.0.0.1:1"), ("worker", 1, "127.0.0.1:1")), 0)
    with pytest.raises(SystemExit):
        cluster._watch(hosts, threading.Event())
    assert "127.0.0.1:1 of TF_CONFIG did not start" in said[0]
