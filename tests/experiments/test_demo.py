"""What the demo reads of a run, and which folders it replaces."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

from primer.errors import RunError, UsageError
from primer.experiments import contenders, demo
from tests.evaluation import small_checkpoints
from tests.evaluation.paired import two_models

CONFIG = """
batch_size = 7
utils.run.batch_size = ("tokens_per_batch", 2048)
run.sequence_length = {"inputs": 1, "targets": 128}
learning_rate_schedules.constant.value = 0.08
"""


@pytest.fixture
def model_dir(tmp_path):
    (tmp_path / "config.gin").write_text(CONFIG)
    return tmp_path


def test_a_setting_is_found_by_the_end_of_its_name(model_dir):
    assert demo.recorded_setting(str(model_dir), "run.batch_size") == ("tokens_per_batch", 2048)
    assert demo.recorded_setting(str(model_dir), contenders.RATE) == 0.08
    with pytest.raises(RunError, match="config.gin does not set run.mode"):
        demo.recorded_setting(str(model_dir), "run.mode")


def test_parameters_are_those_of_the_latest_checkpoint_without_the_optimizer(model_dir):
    weights = {"a/kernel": np.zeros([3, 4], np.float32), "a/bias": np.zeros([4], np.float32)}
    slots = {"a/kernel_slot_vr": np.zeros([3], np.float32)}
    small_checkpoints.save(model_dir, 1, {"b": np.zeros([99], np.float32)})
    path = small_checkpoints.save(model_dir, 2, {**weights, **slots})
    tf.compat.v1.train.update_checkpoint_state(str(model_dir), path)
    assert demo.count_parameters(str(model_dir)) == 3 * 4 + 4


def test_costs_are_tokens_and_seconds_since_the_end_of_the_first_step(model_dir, monkeypatch):
    for step in (10, 20):
        path = model_dir / f"model.ckpt-{step}.index"
        path.touch()
        os.utime(path, (1000 + step, 1000 + step))
    monkeypatch.setattr(demo, "_first_step_time", lambda folder: 1005.0)
    rows = demo._with_costs([{"step": 10}, {"step": 20}], str(model_dir))
    assert rows == [
        {"step": 10, "tokens_trained": 10 * 2048, "seconds": 5.0},
        {"step": 20, "tokens_trained": 20 * 2048, "seconds": 15.0},
    ]


def test_differences_are_those_of_the_last_losses_to_the_baseline(tmp_path):
    text = two_models.text_of(range(1, 30))
    results = []
    for seed, name in enumerate(("primer", "transformer", "primer_ez")):
        losses = two_models.losses(text, seed, -0.5 * (name == "primer"))
        rows = [two_models.evaluated(tmp_path / name, text, losses, step=step) for step in (1, 2)]
        results.append({"name": name, "checkpoints": [{"step": 1}, rows[1]]})
    demo.add_differences(results)
    primer, transformer, _ = results
    assert [("difference" in result) for result in results] == [True, False, True]
    last = [result["checkpoints"][-1]["nats_per_token"] for result in (primer, transformer)]
    assert primer["difference"]["value"] == last[0] - last[1]
    assert 0 < primer["difference"]["standard_error"] < 0.1
    json.dumps(results, allow_nan=False)


def test_only_a_folder_of_an_earlier_demo_is_replaced(tmp_path):
    folder = tmp_path / "transformer"
    demo._create_empty(str(folder))
    (folder / "model.ckpt-1.index").touch()
    demo._create_empty(str(folder))
    assert [path.name for path in folder.iterdir()] == [demo.MARK]
    (folder / demo.MARK).rename(folder / "thesis.txt")
    with pytest.raises(UsageError, match="name another folder with --output"):
        demo._create_empty(str(folder))
    assert (folder / "thesis.txt").exists()


def test_a_failed_command_ends_the_demo(tmp_path, monkeypatch):
    monkeypatch.setattr(demo.engine, "print_and_run", lambda arguments: 3)
    with pytest.raises(RunError, match="the demo stops: .* ended with code 3"):
        demo.run_contender(contenders.CONTENDERS[0], str(tmp_path))
