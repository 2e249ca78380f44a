"""Measured speeds count on as many processors, and workers take the next run when they are free."""

import itertools

import pytest

from primer.experiments.sweep_plans import groups, speeds
from primer.experiments.sweeps import expansion, run_log, run_record, sweep_file

SWEEP = """
output: runs
run: {architecture: primer_ez, activation: relu, size: tiny, task: sotu, steps: 100}
axes:
  - gin.num_layers: [2, 4]
  - learning_rate: [1e-3, 1e-2]
  - seed: [1, 2]
"""


@pytest.fixture
def runs(write):
    return expansion.expand(sweep_file.read(write("s.yaml", SWEEP)))


def trained(run, tmp_path, *starts, step=None):
    """Writes the record and the log of starts, each (processors, tokens per second)."""
    (tmp_path / "runs" / run.name).mkdir(parents=True)
    records = [{"began": "x", "processors": count} for count, _ in starts]
    run_record.write(run.model_dir, {"settings": dict(run.settings), "starts": records})
    for number, (_, speed) in enumerate(starts, 1):
        run_log.begin(run.model_dir, f"start {number} of {run.name}, now")
        with open(f"{run.model_dir}/log.txt", "a") as log:
            log.write(f"step 2/100  loss 1.0  {speed} tokens/s\n" * 2)
    if step is not None:
        (tmp_path / "runs" / run.name / f"model.ckpt-{step}.index").touch()
        text = f'model_checkpoint_path: "model.ckpt-{step}"\n'
        (tmp_path / "runs" / run.name / "checkpoint").write_text(text)


def test_runs_are_grouped_by_graph_and_by_seed(runs):
    assert [len(alike) for alike in groups.of_graphs(runs)] == [4, 4]
    found = groups.of_seeds(runs)
    assert [len(alike) for alike in found] == [2, 2, 2, 2]
    assert groups.name(found[1]) == "num_layers=2,learning_rate=0.01"
    assert groups.name([runs[0].__class__(0, "seed=3", "", {}, {}, [])]) == "run"


def test_the_median_of_starts_on_as_many_processors_counts(runs, tmp_path):
    assert speeds.measured(runs, 1) is None
    trained(runs[0], tmp_path, (1, "100"), (2, "9k"))
    trained(runs[1], tmp_path, (1, "300"))
    trained(runs[2], tmp_path, (1, "1.0k"))
    assert speeds.measured(runs, 1) == 300
    assert speeds.measured(runs, 2) == 9000
    assert speeds.measured(runs[3:], 1) is None


def test_what_is_left_of_a_run(runs, tmp_path):
    assert speeds.share_left(runs[0], 100) == 1
    trained(runs[0], tmp_path, (1, "100"), step=25)
    assert speeds.share_left(runs[0], 100) == 0.75
    record = run_record.read(runs[0].model_dir)
    record["starts"][0]["outcome"] = run_record.DONE  # By early_stop.
    run_record.write(runs[0].model_dir, record)
    assert speeds.share_left(runs[0], 100) == 0


@pytest.mark.parametrize(
    "seconds, workers, expected",
    [([], 2, 0), ([3, 1, 1, 1], 1, 6), ([3, 1, 1, 1], 2, 3), ([1, 1, 3], 2, 4), ([5], 3, 5)],
)
def test_workers(seconds, workers, expected):
    assert speeds.with_workers(seconds, workers) == expected


def test_no_worker_waits_while_a_run_does():
    for own in itertools.permutations([1.0, 2.0, 3.0, 4.0]):
        assert 5.0 <= speeds.with_workers(own, 2) <= 7.0
