"""Training on the hosts of TF_CONFIG: two processes on loopback."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import types

import gin
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from primer.errors import RunError, UsageError
from primer.runtime import cluster
from tests import tiny_text
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


# What a worker's command does, without the imports of a training.
SERVE = """
from tests.runtime import cluster_host
cluster_host.make_cpus()
from primer.runtime import cluster
cluster.POLL_SECONDS, cluster.LOST_SECONDS = 0.2, 2.0
cluster.serve_until_chief_ends(cluster.from_environment())
"""


def start_training(addresses, index, model_dir, *bindings, cwd=ROOT, cpus=1):
    words = ["-m", "tests.runtime.cluster_host", str(model_dir), *bindings]
    return start_host(addresses, index, words, cwd, cpus)


def start_host(addresses, index, words, cwd=ROOT, cpus=1):
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TEST_CPUS": str(cpus),
            **environment(addresses, index),
        },
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
def test_a_malformed_tf_config_is_an_error(text):
    with pytest.raises(UsageError, match="TF_CONFIG"):
        cluster.from_environment({"TF_CONFIG": text})


def test_two_hosts_train_the_weights_of_one(tmp_path):
    addresses = free_addresses(2)
    worker = start_host(addresses, 1, ["-c", SERVE])
    chief = start_training(addresses, 0, tmp_path / "both", "dropout_rate = 0.0")
    tiny.run(tmp_path / "one", "dropout_rate = 0.0")
    _, messages = chief.communicate(timeout=300)
    assert chief.returncode == 0, messages
    assert "mesh batch:2" in messages
    assert worker.wait(timeout=300) == 0
    together, alone = tiny.variables(tmp_path / "both", 6), tiny.variables(tmp_path / "one", 6)
    for name, value in alone.items():
        np.testing.assert_allclose(together[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_a_host_serves_all_its_devices(tmp_path):
    """Two of each host, as they would be GPUs."""
    addresses = free_addresses(2)
    worker = start_host(addresses, 1, ["-c", SERVE], cpus=2)
    chief = start_training(addresses, 0, tmp_path / "four", *MOVING, cpus=2)
    tiny.run(tmp_path / "one", *MOVING)
    _, messages = chief.communicate(timeout=300)
    assert chief.returncode == 0, messages
    assert "mesh batch:4" in messages
    assert worker.wait(timeout=300) == 0
    assert_moved(tmp_path / "four", tmp_path / "one")


def served(*devices):
    """Returns a server's session that lists these devices of the first and the second host."""
    names = [f"/job:worker/replica:0/task:{task}/device:{kind}:{n}" for task, kind, n in devices]
    listed = [types.SimpleNamespace(name=name) for name in names]
    return contextlib.nullcontext(types.SimpleNamespace(list_devices=lambda: listed))


@pytest.mark.parametrize("without, expected", [(None, "GPU"), (1, "CPU")])
def test_the_mesh_has_the_gpus_of_all_hosts_or_none(monkeypatch, capsys, without, expected):
    gpus = [(task, "GPU", n) for task in (1, 0) for n in (1, 0) if task != without]
    found = served((0, "CPU", 0), (1, "CPU", 0), *gpus)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(cluster, "server", lambda hosts: types.SimpleNamespace(target=""))
    monkeypatch.setattr(cluster, "_answers", lambda address: True)
    monkeypatch.setattr(cluster.tf, "Session", lambda target: found)
    cluster.mesh_devices.cache_clear()
    devices = cluster.mesh_devices(two_hosts(0))
    cluster.mesh_devices.cache_clear()
    numbers = (0, 1) if expected == "GPU" else (0,)
    names = [f"/job:worker/task:{t}/device:{expected}:{n}" for t in (0, 1) for n in numbers]
    assert list(devices) == names
    assert ("has no GPU" in capsys.readouterr().err) == (without is not None)


MOVING = ("dropout_rate = 0.0", "summaries.every = 1")


def train_on_two(model_dir, steps, cwds=(ROOT, ROOT)):
    """Trains on two hosts to a step; returns the messages of the first."""
    addresses = free_addresses(2)
    worker = start_host(addresses, 1, ["-c", SERVE], cwds[1])
    more = (*MOVING, f"utils.run.train_steps = {steps}")
    chief = start_training(addresses, 0, model_dir, *more, cwd=cwds[0])
    _, messages = chief.communicate(timeout=300)
    assert chief.returncode == 0, messages
    assert worker.wait(timeout=300) == 0
    return messages


def assert_moved(moved, alone):
    """The rows, the losses and the values are those of one host."""
    losses = [tiny.scalars(directory)["loss"] for directory in (moved, alone)]
    assert losses[0].keys() == losses[1].keys() and len(losses[0]) == 6
    np.testing.assert_allclose(list(losses[0].values()), list(losses[1].values()), rtol=1e-5)
    for name, value in tiny.variables(alone, 6).items():
        np.testing.assert_allclose(
            tiny.variables(moved, 6)[name], value, rtol=1e-4, atol=1e-5, err_msg=name
        )


@pytest.mark.slow
def test_a_run_moves_to_one_host_and_back(tmp_path):
    """Of a replicated weight each host has written its share."""
    tiny.run(tmp_path / "one", *MOVING)
    train_on_two(tmp_path / "moves", 2)
    tiny.run(tmp_path / "moves", *MOVING, "utils.run.train_steps = 4")
    train_on_two(tmp_path / "moves", 6)
    assert_moved(tmp_path / "moves", tmp_path / "one")
    for step, files in ((2, 2), (4, 1), (6, 2)):
        found = list((tmp_path / "moves").glob(f"model.ckpt-{step}.data-*"))
        assert len(found) == files
        sizes = [path.stat().st_size for path in found]
        assert max(sizes) < 0.7 * sum(sizes) or files == 1
    assert not list((tmp_path / "moves").glob(".*unfinished"))


@pytest.mark.slow
def test_a_host_that_does_not_see_the_directory_leaves_the_files_to_the_first(tmp_path):
    folders = (tmp_path / "first", tmp_path / "second")
    for folder in folders:
        folder.mkdir()
    tiny.run(tmp_path / "one", *MOVING)
    for steps in (3, 6):
        messages = train_on_two("run", steps, folders)
        assert "which therefore reads and writes the checkpoints of all hosts" in messages
    assert_moved(folders[0] / "run", tmp_path / "one")
    assert not list(folders[1].iterdir())
    assert len(list((folders[0] / "run").glob("model.ckpt-6.data-*"))) == 1


@pytest.mark.slow
def test_two_hosts_carry_the_memory_of_one(tmp_path):
    (tmp_path / "texts").mkdir()
    texts = tiny_text.write(tmp_path / "texts")

    def words(name):
        settings = (
            "memory_length = 20",
            "carry_memory = True",
            "precision.activation_dtype = 'float32'",
        )
        more = [word for setting in settings for word in ("--gin_param", setting)]
        stream = ("--gin_file", "objectives/lm_stream.gin", "--steps", 6, "--seed", 1)
        command = tiny_text.train_words(texts, tmp_path / name, *stream, *more)
        return ["-m", "primer.cli", *map(str, command)]

    addresses = free_addresses(2)
    worker = start_host(addresses, 1, words("both"))
    chief = start_host(addresses, 0, words("both"))
    subprocess.run([sys.executable, *words("one")], cwd=ROOT, check=True, capture_output=True)
    _, messages = chief.communicate(timeout=300)
    assert chief.returncode == 0, messages
    assert "mesh batch:2" in messages
    assert worker.wait(timeout=300) == 0
    together, alone = (tiny.variables(tmp_path / name, 6) for name in ("both", "one"))
    assert "carried_state/layer_000" in alone
    for name, value in alone.items():
        np.testing.assert_allclose(together[name], value, rtol=1e-3, atol=1e-3, err_msg=name)


@pytest.mark.slow
def test_a_host_that_dies_stops_the_run_with_one_message(tmp_path):
    addresses = free_addresses(2)
    many = ("utils.run.train_steps = 100000", "utils.run.save_checkpoints_steps = 20")
    worker = start_training(addresses, 1, tmp_path, *many)
    chief = start_training(addresses, 0, tmp_path, *many)
    deadline = time.monotonic() + 120
    while not (tmp_path / "model.ckpt-20.index").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    worker.kill()
    worker.wait()
    _, messages = chief.communicate(timeout=300)
    assert chief.returncode == 1, messages
    assert "a host of TF_CONFIG's cluster is lost" in messages
    assert "Traceback" not in messages


def test_only_training_uses_the_cluster(monkeypatch):
    text = environment(["a:1", "b:2"], 0)["TF_CONFIG"]
    monkeypatch.setenv("TF_CONFIG", text)
    assert len(cluster.of_this_run().tasks) == 2
    with gin.unlock_config():
        gin.parse_config("import mesh_tensorflow.transformer.utils\nutils.run.mode = 'eval'")
    assert cluster.of_this_run() is None


def two_hosts(own_index):
    address = "127.0.0.1:1"  # Nothing listens on this port.
    return cluster.Cluster((("worker", 0, address), ("worker", 1, address)), own_index)


def test_a_host_that_does_not_start_ends_the_chief(monkeypatch):
    messages = []

    def exit_process(message):
        messages.append(message)
        raise SystemExit(1)

    monkeypatch.setattr(cluster, "START_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(cluster, "_exit_process", exit_process)
    with pytest.raises(SystemExit):
        cluster._watch_hosts(two_hosts(0), threading.Event())
    assert "127.0.0.1:1 of TF_CONFIG did not start" in messages[0]


def test_a_chief_that_does_not_start_ends_a_worker(monkeypatch):
    monkeypatch.setattr(cluster, "START_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(cluster, "server", lambda hosts: None)
    with pytest.raises(RunError, match="the chief 127.0.0.1:1 of TF_CONFIG did not start"):
        cluster.serve_until_chief_ends(two_hosts(1))


def test_a_worker_ends_after_the_chief(monkeypatch, capsys):
    answers = iter([False, True, True, False, False])
    monkeypatch.setattr(cluster, "LOST_SECONDS", 0.0)
    monkeypatch.setattr(cluster, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(cluster, "server", lambda hosts: None)
    monkeypatch.setattr(cluster, "_answers", lambda address: next(answers))
    cluster.serve_until_chief_ends(two_hosts(1))
    assert "The chief has ended" in capsys.readouterr().err


@pytest.mark.parametrize("error", [tf.errors.UnavailableError, tf.errors.AbortedError])
def test_tensorflows_error_about_a_lost_host_is_explained(error, monkeypatch):
    monkeypatch.setattr(cluster, "POLL_SECONDS", 10.0)
    with pytest.raises(RunError, match="is lost .socket closed.*resumes from the last checkpoint"):
        with cluster.end_when_host_is_lost(two_hosts(0)):
            raise error(None, None, "socket closed\nmore")
