"""The sweeps of docs/experiments.md expand, and its table of states is complete."""

import re

import yaml

from primer.experiments.sweeps import expansion, run_record, run_settings, sweep_file
from primer.experiments.sweeps.evaluations import request, rule, table_rows
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_has_twelve_runs(write):
    sweep = sweep_file.read(write("rates.yaml", BLOCKS[0]))
    runs = expansion.expand(sweep)
    assert len(runs) == 12 and sweep.evaluations
    (baseline,) = re.findall(r'primer report rates.yaml --baseline "(.*)" --output', PAGE)
    assert f"{baseline},seed=1" in [run.name for run in runs]
    assert "the 12 runs" in PAGE and "--array=0-11" in PAGE and "completions: 12" in PAGE


def test_each_form_of_an_axis_is_read(write):
    write("my/experts.gin", "")
    head = "output: runs\nrun: {architecture: primer, activation: relu, task: sotu}\naxes:\n"
    runs = expansion.expand(sweep_file.read(write("s.yaml", head + BLOCKS[1])))
    assert len(runs) == 3 * (2 + 1) * 2 * 2 * 2
    assert runs[0].name == "seed=1,attention=mha,gin_file=switch,size=tiny,steps=100," + (
        "num_memory_heads=1,rung=S"
    )


def test_evaluation_and_the_rule_of_hopeless_runs_are_read(write):
    head = "output: runs\nrun: {architecture: primer, activation: relu, size: tiny, task: sotu"
    sweep = sweep_file.read(write("s.yaml", f"{head}, eval_every: 200}}\n{BLOCKS[2]}{BLOCKS[3]}"))
    (evaluation,) = sweep.evaluations
    assert evaluation.checkpoints == 200 and evaluation.options == {"protocol": "packed"}
    assert sweep.stop_hopeless == rule.Rule(("architecture", "size"), 400, 3, 0.02)
    (run,) = expansion.expand(sweep)
    columns = table_rows.columns([run])
    for name in (*request.OPTIONS, *columns):
        if not name.startswith(("evaluated_", "version_")):
            assert f"`{name}`" in PAGE, name


def test_the_job_is_yaml_and_the_tables_are_complete():
    assert yaml.safe_load(BLOCKS[4])["spec"]["completionMode"] == "Indexed"
    for word in (*run_record.STATES, *run_settings.FIELDS):
        assert f"`{word}`" in PAGE, word
