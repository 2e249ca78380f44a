"""What the demo records and reads of a run, and which files it replaces."""

import datetime
import json
import os
import time

import pytest

from primer.errors import RunError, UsageError
from primer.experiments import contenders, demo
from primer.experiments.report import runs
from primer.experiments.sweeps import run_record
from tests.evaluation.paired import two_models
from tests.experiments.report import made_up_runs


def test_a_run_is_recorded_as_one_of_a_sweep(tmp_path, monkeypatch):
    """`primer report` reads its name and its times, which begin with the end of the first step."""
    contender = contenders.CONTENDERS[2]
    model_dir = tmp_path / "any"
    run = contenders.run_of(contender, str(model_dir), seed=3, steps=20)

    def train(arguments):
        assert arguments == contenders.train_arguments(contender, str(model_dir), 3)
        (record,) = run_record.read(str(model_dir))["starts"]  # A killed demo leaves this.
        assert "ended" not in record
        made_up_runs.run(model_dir / "made", 4.2, 3, steps=(10, 20))
        for path in (model_dir / "made").iterdir():
            path.rename(model_dir / path.name)
        now = time.time()
        for step in (10, 20):
            path = model_dir / f"model.ckpt-{step}.index"
            path.touch()
            os.utime(path, (now - 20 + step, now - 20 + step))
        monkeypatch.setattr(demo, "_first_step_ended", lambda folder: iso(now - 15))
        return 0

    def iso(seconds):
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat()

    model_dir.mkdir()
    monkeypatch.setattr(demo.engine, "print_and_run", train)
    demo._train(run)
    read = runs.read(str(model_dir))
    assert (read.name, read.sweep, read.seed) == ("architecture=primer", "demo", 3)
    assert (read.state, read.axes) == ("done", ("architecture", "seed"))
    first, last = demo._checkpoints(str(model_dir))
    assert (first["step"], first["tokens_trained"]) == (10, 10 * made_up_runs.TOKENS)
    assert first["seconds"] == pytest.approx(5, abs=0.01)
    assert last["seconds"] == pytest.approx(15, abs=0.01)
    assert last["nats_per_token"] == made_up_runs.loss_at(20, 4.2, 3)


def test_a_page_of_somebody_else_is_not_replaced(tmp_path):
    page = tmp_path / "report.html"
    demo.check_page(str(tmp_path), str(page))
    page.touch()
    with pytest.raises(UsageError, match="report.html is no earlier page of the demo"):
        demo.check_page(str(tmp_path), str(page))
    demo._create_empty(str(tmp_path / "transformer"))
    demo.check_page(str(tmp_path), str(page))


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
