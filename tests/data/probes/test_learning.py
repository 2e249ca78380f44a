"""The sweeps of benchmarks/probes: they expand, and their models learn recall or fail."""

import json

import pytest

from primer.experiments.sweeps import expansion, run_settings, sweep_file
from primer.launch import engine, train
from tests.paths import ROOT

FOLDER = ROOT / "benchmarks" / "probes"


@pytest.mark.parametrize("name", ["mqar", "copying", "induction"])
def test_a_sweep_has_a_run_of_each_architecture(name):
    runs = expansion.expand(sweep_file.read(str(FOLDER / f"{name}.yaml")))
    named = {run.values["architecture"].split("/")[-1] for run in runs}
    assert {"transformer", "primer_ez", "convolution.gin"} <= named
    assert {run.settings["task"] for run in runs} == {name}


@pytest.mark.slow
def test_attention_recalls_and_convolution_alone_does_not(tmp_path):
    """Primer-EZ's attention has a convolution of 3 taps; the other model has no attention."""
    runs = expansion.expand(sweep_file.read(str(FOLDER / "mqar.yaml")))
    chosen = {
        run.values["architecture"].split("/")[-1]: run
        for run in runs
        if (run.values["gin.mqar.pairs"], run.values["seed"]) == (4, 1)
    }
    attention, convolution = (
        _result(tmp_path / name, chosen[name]) for name in ("primer_ez", "convolution.gin")
    )
    assert attention["accuracy"] > 0.95 and convolution["accuracy"] < 0.4
    assert attention["tokens"] == convolution["tokens"] == 4 * 512


def _result(model_dir, run):
    """Returns the result of a run of a sweep after 200 steps."""
    settings = {**run.settings, "steps": 200, "eval_every": 200}
    training = run_settings.training_run(settings, str(model_dir))
    assert engine.run_main(train.engine_arguments(training)) == 0
    (path,) = model_dir.glob("eval/*.jsonl")
    return json.loads(path.read_text().splitlines()[-1])
