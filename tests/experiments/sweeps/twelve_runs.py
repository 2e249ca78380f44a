"""A sweep of twelve runs that is killed in all its parts, on local processes and on Ray."""

import json
import os

import pyarrow.parquet as parquet

from tests.experiments.sweeps.running import (
    kill_processes,
    kill_ray_worker,
    outcomes,
    steps,
    table,
    until,
)
from tests.experiments.sweeps.train_with_stand_in import train

# Columns that depend on times and places.
OWN = ("seconds", "model_dir")


def survive_kills(sweep, begin, tmp_path, capfd, address=None):
    """Checks that nothing is lost; on the Ray cluster of an address, if one is given."""
    path = sweep(
        "gin.behaviour: [waits], seed: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]",
        steps=4,
        more="evaluate: {checkpoints: every 2, split: waits}\n",
    )
    runs = tmp_path / "runs"
    folders = [runs / f"behaviour=waits,seed={seed}" for seed in range(1, 13)]

    # SIGKILL of the sweep while it trains.
    process = begin(path, 2, address)
    until(lambda: len(steps(folders[2])) >= 2)
    process.kill()
    process.wait()

    # SIGKILL of a run, of both workers' processes, of an evaluation; on Ray of a worker, which is
    # another process there; then of the sweep while it evaluates.
    process = begin(path, 2, address)
    messages = tmp_path / "output1.txt"
    until(lambda: "goes on" in messages.read_text() and kill_processes(runs, 1))
    if address:
        until(lambda: kill_ray_worker(runs))
    until(lambda: len(steps(folders[7])) >= 1 and kill_processes(runs, 2))
    until(lambda: kill_processes(runs, 1, "eval"))
    until(lambda: sum(len(scored(folder)) for folder in folders) >= 8)
    process.kill()
    process.wait()
    messages = messages.read_text()
    assert messages.count("exit code -9 (killed") == 4
    assert messages.count("its worker was lost: ") == bool(address)

    assert train(path, workers=2, address=address) == 0
    output = capfd.readouterr().out
    assert "12 of 12 done" in output
    assert [sorted(set(steps(folder))) for folder in folders] == [[1, 2, 3, 4]] * 12
    assert [outcomes(folder)[-1] for folder in folders] == ["done"] * 12
    for folder in folders:  # No checkpoint was scored twice.
        assert sorted(results_of(folder)) == [2, 4]
    disturbed, found = table(output), rows(runs)
    assert len(disturbed) == 12 and len(found) == 24

    os.rename(runs, tmp_path / "disturbed")
    assert train(path, workers=2) == 0
    assert table(capfd.readouterr().out) == disturbed
    again = rows(runs)
    for row in [*found, *again]:
        for name in OWN:
            row.pop(name)
    assert found == again


def scored(folder):
    return steps(folder, "scored.txt")


def results_of(folder):
    """Returns the steps of all lines of results of a run."""
    lines = (folder / "eval" / "sotu_waits_stream.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def rows(folder):
    return parquet.read_table(folder / "results.parquet").to_pylist()
