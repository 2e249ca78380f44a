"""Plans of sweeps: one per graph, the numbers of `primer check`, and every mistake with its run."""

import pytest

import t5_imports  # noqa: F401  Registers what gin files name.
from primer.experiments.sweep_plans import sweep_plan
from primer.experiments.sweeps import expansion, run_log, run_record, sweep_file
from primer.gin_config import config_files
from primer.planning import check
from primer.planning.plans import training_run

SWEEP = """
output: runs
run: {activation: relu, size: tiny, task: sotu, steps: 7, gin.utils.run.batch_size: 2}
axes:
  - architecture: [transformer, primer_ez]
  - learning_rate: [1e-3, 1e-2]
  - seed: [1, 2]
  - {gin.num_heads: {wrong: "many"}, when: {architecture: primer_ez}}
"""
MACHINE = sweep_plan.Machine("v3", 0.5, 2, 1)


@pytest.fixture
def runs(write):
    return expansion.expand(sweep_file.read(write("s.yaml", SWEEP)))


def test_one_plan_serves_a_graph_and_mistakes_do_not_stop_the_others(runs, monkeypatch):
    planned = []
    stock = training_run.plan_of

    def plan_of(words, *arguments):
        planned.append(words)
        return stock(words, *arguments)

    monkeypatch.setattr(sweep_plan.training_run, "plan_of", plan_of)
    assert sweep_plan.mistakes_in_text(runs) == {}
    plan = sweep_plan.build(runs, MACHINE, {})
    assert len(planned) == 2
    (name,) = plan.mistakes
    assert name == "architecture=primer_ez,learning_rate=0.001,seed=1,num_heads=wrong"
    assert "(and 3 more runs)" in plan.mistakes[name]
    assert [group.name for group in plan.groups] == [
        "architecture=transformer,learning_rate=0.001",
        "architecture=transformer,learning_rate=0.01",
    ]
    files = config_files.composition_files("transformer", "relu", "tiny")
    size = plan.groups[0].plan.model.vocabulary_size
    bindings = ['utils.run.sequence_length = {"inputs": 1, "targets": 256}']
    expected = check.check_gin_files(files, bindings, size).cost
    for group in plan.groups:
        assert group.plan.model.cost == expected and size == 8192
        assert (group.steps, group.tokens, len(group.runs)) == (7, 7 * 2 * 256, 2)
        assert group.flops == group.tokens * expected.training
        assert group.source == sweep_plan.ESTIMATED
        assert 4 * expected.parameters.total < group.plan.peak < group.plan.capacity
    assert plan.flops == 4 * plan.groups[0].flops
    assert plan.seconds == pytest.approx(4 * plan.groups[0].seconds)
    assert plan.wall_seconds == pytest.approx(2 * plan.groups[0].seconds)
    assert plan.wall_seconds_left == plan.wall_seconds


def test_text_and_records_show_mistakes_before_tensorflow(runs, tmp_path):
    run = runs[0]
    (tmp_path / "runs" / run.name).mkdir(parents=True)
    record = {"settings": {**run.settings, "task": "ptb"}, "starts": [{}]}
    run_record.write(run.model_dir, record)
    (name, message), *others = sweep_plan.mistakes_in_text(runs).items()
    assert name == run.name and "was begun with task = 'ptb'" in message and not others


def test_measured_speeds_replace_estimates_on_this_machine(runs, tmp_path):
    run = runs[0]
    (tmp_path / "runs" / run.name).mkdir(parents=True)
    starts = [{"processors": 1}]
    run_record.write(run.model_dir, {"settings": dict(run.settings), "starts": starts})
    run_log.begin(run.model_dir, "start 1 of it, now")
    with open(f"{run.model_dir}/log.txt", "a") as log:
        log.write("step 7/7  loss 1.0  512 tokens/s\n")
    machine = sweep_plan.Machine("cpu", 1.0, 1, 1)
    plan = sweep_plan.build(runs[:4], machine, {})
    assert {group.source for group in plan.groups} == {sweep_plan.MEASURED}
    assert [group.seconds for group in plan.groups] == [7.0, 7.0]
