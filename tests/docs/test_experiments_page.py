"""The sweeps of docs/experiments.md expand, and its table of states is complete."""

import re

import yaml

from primer.experiments.sweeps import expansion, run_record, run_settings, sweep_file
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_example_has_twelve_runs(write):
    assert len(expansion.expand(sweep_file.read(write("rates.yaml", BLOCKS[0])))) == 12
    assert "the 12 runs" in PAGE and "--array=0-11" in PAGE and "completions: 12" in PAGE


def test_each_form_of_an_axis_is_read(write):
    write("my/experts.gin", "")
    head = "output: runs\nrun: {architecture: primer, activation: relu, task: sotu}\naxes:\n"
    runs = expansion.expand(sweep_file.read(write("s.yaml", head + BLOCKS[1])))
    assert len(runs) == 3 * (2 + 1) * 2 * 2 * 2
    assert runs[0].name == "seed=1,attention=mha,gin_file=switch,size=tiny,steps=100," + (
        "num_memory_heads=1,rung=S"
    )


def test_the_job_is_yaml_and_the_tables_are_complete():
    assert yaml.safe_load(BLOCKS[2])["spec"]["completionMode"] == "Indexed"
    for word in (*run_record.STATES, *run_settings.FIELDS):
        assert f"`{word}`" in PAGE, word
