"""Sweeps on a Ray cluster of this machine, with a stand-in for the engine: kills, limits, GPUs."""

import json
import os
import signal

import pytest

from primer.errors import UsageError
from primer.experiments.sweeps import locks
from tests.command_lines import run
from tests.experiments.sweeps import train_with_stand_in, twelve_runs
from tests.experiments.sweeps.running import (
    SECONDS,
    kill_ray_worker,
    outcomes,
    programs,
    steps,
    until,
)
from tests.experiments.sweeps.train_with_stand_in import train

TWO_PROCESSORS = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
SIGTERM = str(int(signal.SIGTERM))
STEPS = 100  # Six seconds: the second worker begins before the first one ends.


@pytest.mark.slow  # A minute.
@TWO_PROCESSORS
def test_twelve_runs_survive_kills_with_the_results_of_an_undisturbed_sweep(
    sweep, begin, tmp_path, capfd, address
):
    twelve_runs.survive_kills(sweep, begin, tmp_path, capfd, address)


@TWO_PROCESSORS
def test_runs_save_a_checkpoint_when_the_sweep_or_a_worker_is_killed(
    sweep, begin, tmp_path, address
):
    path = sweep("gin.behaviour: [waits], seed: [1, 2]", steps=STEPS)
    folders = [tmp_path / "runs" / f"behaviour=waits,seed={seed}" for seed in (1, 2)]

    def are_at(step):
        return all(len(steps(folder)) >= step for folder in folders)

    process = begin(path, 2, address)
    until(lambda: are_at(3))
    # Each has a processor of its own.
    first, second = [(folder / "processors.txt").read_text() for folder in folders]
    assert first != second and len(json.loads(first.partition("]")[0] + "]")) == 1
    assert locks.is_held(str(folders[0]))
    process.kill()
    process.wait()
    # The lock of this sweep is free at once, that of the engine when it ends.
    until(lambda: not any(locks.is_held(str(folder)) for folder in folders))
    # As a child of a worker of Ray it would get SIGKILL.
    assert [(folder / "stopped.txt").read_text() for folder in folders] == [SIGTERM] * 2
    assert not programs(tmp_path / "runs") and not are_at(STEPS)
    for folder in folders:
        (folder / "stopped.txt").unlink()

    process = begin(path, 2, address)
    until(lambda: are_at(20))
    assert kill_ray_worker(tmp_path / "runs")
    assert process.wait(SECONDS) == 0
    messages = (tmp_path / "output1.txt").read_text()
    assert messages.count("(retry 1 of 3)") == 1 and "2 of 2 done" in messages
    assert "raylet" not in messages
    (lost,) = [folder for folder in folders if (folder / "stopped.txt").exists()]
    assert outcomes(lost) == [None, "stopped", "done"]
    starts = json.loads((lost / "run.json").read_text())["starts"]
    assert "actor" in starts[1]["lost"] and "lost" not in starts[2]
    assert starts[1]["host"] == os.uname().nodename and starts[1]["versions"]["primer"]
    assert [steps(folder) for folder in folders] == [list(range(1, STEPS + 1))] * 2


def test_a_cluster_without_what_runs_need_is_refused_in_one_line(
    sweep, tmp_path, monkeypatch, address
):
    path = sweep("seed: [1]")
    with pytest.raises(UsageError, match="cpus_per_run = 3, --gpus_per_run = 0.5: no node .* its "):
        train(path, address=address, cpus=3, gpus=0.5)
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(train_with_stand_in, "PROGRAM", ("/nowhere/t5_mesh_transformer",))
    with pytest.raises(UsageError, match="does not see the program /nowhere/t5_mesh_transformer"):
        train(path, address=address)
    assert os.listdir(tmp_path / "runs") == [f".shared-{os.uname().nodename}"]


@pytest.mark.slow  # Twenty seconds.
@TWO_PROCESSORS
def test_runs_have_their_gpus_and_wait_for_workers(sweep, tmp_path, monkeypatch, capfd, address):
    from primer.experiments.sweeps.workers.ray_cluster import ray_workers

    monkeypatch.setattr(ray_workers, "WAIT_SECONDS", 0.0)
    path = sweep("gin.behaviour: [waits, fails], seed: [1, 2]", steps=20)
    assert train(path, address=address, gpus=1.0) == 1
    output, messages = capfd.readouterr()
    assert "waits for a node of the Ray cluster with 1 CPU and 1 GPU free; the clus" in messages
    assert "2 of 4 done, 2 failed" in output and "the loss is NaN" in messages
    folders = [tmp_path / "runs" / f"behaviour=waits,seed={seed}" for seed in (1, 2)]
    # The same one, if the second worker has begun after the first run.
    assert {(folder / "gpus.txt").read_text() for folder in folders} <= {"0", "1"}
    path = sweep("seed: [1]")
    assert train(path, address=address) == 0
    assert (tmp_path / "runs" / "seed=1" / "gpus.txt").read_text() == ""
    assert "Runs use no GPU: set --gpus_per_run" in capfd.readouterr().err


@pytest.mark.slow  # Half a minute.
@TWO_PROCESSORS
def test_two_sweeps_at_once_train_each_run_once_and_stop_on_a_signal(
    sweep, begin, tmp_path, address
):
    path = sweep("gin.behaviour: [waits], seed: [1, 2, 3]", steps=STEPS)
    folders = [tmp_path / "runs" / f"behaviour=waits,seed={seed}" for seed in (1, 2, 3)]
    process = begin(path, 2, address)
    until(lambda: len(steps(folders[1])) >= 3)
    process.terminate()
    assert process.wait(SECONDS) == 143
    assert [(folder / "stopped.txt").read_text() for folder in folders[:2]] == [SIGTERM] * 2
    assert [outcomes(folder) for folder in folders[:2]] == [["stopped"]] * 2
    first, second = begin(path, 1, address), begin(path, 1, address)
    assert first.wait(SECONDS) == 0 and second.wait(SECONDS) == 0
    assert [steps(folder) for folder in folders] == [list(range(1, STEPS + 1))] * 3
    assert [outcomes(folder) for folder in folders] == [["stopped", "done"]] * 2 + [["done"]]


def test_an_address_without_a_cluster_is_refused_in_one_line(sweep, tmp_path):
    pytest.importorskip("ray", reason="needs the extra ray")
    for address, reason in (("127.0.0.1:1", "Connection refused"), ("here", "not HOST:PORT")):
        with pytest.raises(UsageError, match=f"--address {address}: no Ray cluster .*{reason}"):
            train(sweep("seed: [1]"), address=address)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow  # Two starts of TensorFlow.
def test_the_engine_trains_and_evaluates_on_a_cluster(small_texts, write, tmp_path, capfd, address):
    path = write(
        "s.yaml",
        f"""
output: runs
run: {{architecture: primer_ez, activation: relu, size: tiny, task: text, steps: 2}}
axes: [{{gin_file: [{small_texts}/tiny.gin]}}]
evaluate: {{checkpoints: last, protocol: packed}}
""",
    )
    words = ("sweep", "run", path, "--engine", "ray", "--address", address)
    assert run(*words) == 0, capfd.readouterr().err
    output = capfd.readouterr().out
    assert "s: 1 of 1 done" in output and "results.parquet (1 rows)" in output
    (folder,) = [one for one in (tmp_path / "runs").iterdir() if one.is_dir()]
    assert (folder / "model.ckpt-2.index").exists()
    (start,) = json.loads((folder / "run.json").read_text())["starts"]
    assert (start["outcome"], start["step"], start["processors"]) == ("done", 2, 1)
    (row,) = twelve_runs.rows(tmp_path / "runs")
    assert 0 < row["nats_per_token"] < 7
    assert run(*words) == 0
    assert capfd.readouterr().out == output


def test_resources_go_back_to_the_cluster_and_nodes_are_looked_at(tmp_path, monkeypatch, address):
    import ray

    from primer.experiments.sweeps.workers.ray_cluster import cluster, ray_workers
    from primer.experiments.sweeps.workers.ray_cluster.request import Request

    monkeypatch.setattr(ray_workers, "IDLE_SECONDS", 0.5)
    request, messages = Request(address), []
    with cluster.connected(request):
        workers = ray_workers.RayWorkers(request, 1, str(tmp_path), [], messages.append)
        with workers.opened():
            found = []
            until(lambda: found.append(workers.take()) or found[-1])
            assert workers.take() is None  # At most one.
            until(lambda: ray.available_resources().get("CPU") == 1)
            workers.give_back(found[-1])
            until(lambda: workers.tidy() or ray.available_resources().get("CPU") == 2)
            # A node that comes later, with a folder of its own.
            os.remove(tmp_path / f".shared-{os.uname().nodename}")
            until(lambda: workers.take() or messages)
            expected = f"does not see the sweep's output {tmp_path}: it trains nothing"
            assert expected in messages[0]
