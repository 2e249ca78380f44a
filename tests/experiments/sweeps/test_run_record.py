"""What a run's directory says: states, the latest checkpoint, locks."""

import json
import os

import pytest

from primer.experiments.sweeps import locks, run_record
from primer.experiments.sweeps.expansion import SweepRun


@pytest.fixture
def run(tmp_path):
    return SweepRun(0, "seed=1", str(tmp_path / "seed=1"), {}, {"steps": 9}, [])


@pytest.mark.parametrize(
    "starts, steps, state",
    [
        (None, 9, "waiting"),
        ([], 9, "waiting"),
        ([{}], 9, "stopped"),
        ([{"outcome": "failed"}, {}], 9, "stopped"),
        ([{}, {"outcome": "failed"}], 9, "failed"),
        ([{"outcome": "stopped"}], 9, "stopped"),
        ([{"outcome": "done"}], 9, "done"),
        ([{"outcome": "done"}], 5, "stopped"),
    ],
)
def test_states_are_those_of_the_last_start(starts, steps, state, run):
    assert run_record.state_of(run) == "waiting" and not os.path.exists(run.model_dir)
    lock = locks.take(run.model_dir)
    if starts is not None:
        run_record.write(run.model_dir, {"starts": starts, "settings": {"steps": steps}})
    assert run_record.state_of(run) == "running"
    assert locks.take(run.model_dir) is None
    lock.release()
    assert run_record.state_of(run) == state


@pytest.mark.parametrize(
    "text, index, step",
    [
        ('model_checkpoint_path: "model.ckpt-12"\nall_model_checkpoint_paths: "x"\n', 12, 12),
        ('model_checkpoint_path: "/old/place/model.ckpt-7"\n', 7, 7),
        ('model_checkpoint_path: "model.ckpt-7"\n', 6, None),
        ('all_model_checkpoint_paths: "model.ckpt-7"\n', 7, None),
        (None, 7, None),
    ],
)
def test_the_latest_step_is_that_of_a_checkpoint_that_is_there(text, index, step, tmp_path):
    if text is not None:
        (tmp_path / "checkpoint").write_text(text)
    (tmp_path / f"model.ckpt-{index}.index").touch()
    assert run_record.latest_step(str(tmp_path)) == step


def test_the_file_of_the_engine_is_read(tmp_path):
    from primer.checkpoints import checkpoint_state

    (tmp_path / "model.ckpt-8.index").touch()
    checkpoint_state.write(str(tmp_path), [str(tmp_path / f"model.ckpt-{n}") for n in (4, 8)])
    assert run_record.latest_step(str(tmp_path)) == 8


def test_an_early_end_is_read(tmp_path):
    assert not run_record.stopped_early(str(tmp_path))
    for record, expected in (({}, False), ({"stopped_early": 4}, True)):
        (tmp_path / "primer.json").write_text(json.dumps(record))
        assert run_record.stopped_early(str(tmp_path)) is expected


def test_a_record_that_cannot_be_written_leaves_the_one_before(tmp_path):
    run_record.write(str(tmp_path), {"starts": [1]})
    with pytest.raises(TypeError):
        run_record.write(str(tmp_path), {"starts": [2], (1, 2): 3})
    assert run_record.read(str(tmp_path)) == {"starts": [1]}
    assert os.listdir(tmp_path) == ["run.json"]
