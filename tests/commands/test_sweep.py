"""`primer sweep`: what expand shows, --index, misuse, and two runs of the real engine."""

import importlib.util
import json
import os
import shlex
import subprocess
import sys

import pyarrow.parquet as parquet
import pytest

from tests.command_lines import run
from tests.experiments.sweeps.train_with_stand_in import train
from tests.paths import ROOT

SWEEP = """
name: two_rates
output: runs
run: {architecture: primer_ez, activation: squared_relu, size: tiny, task: sotu, steps: 3}
axes:
  - learning_rate: {low: 1e-3, high: 1e-2}
  - seed: [1, 2]
"""


@pytest.fixture
def path(write):
    return write("s.yaml", SWEEP)


def test_expand_shows_runs_and_their_commands(path, tmp_path, capsys):
    assert run("sweep", "expand", path, "--commands") == 0
    output = capsys.readouterr().out
    assert "two_rates: 0 of 4 done, 4 waiting" in output
    assert "3   learning_rate=high,seed=2   waiting" in output
    blocks = output.split("\n# ")[1:]
    assert [block.splitlines()[0] for block in blocks][1] == "1: learning_rate=low,seed=2"
    words = shlex.split(blocks[1].partition("\n")[2].replace("\\\n", ""))
    assert run("sweep", "expand", path, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[1] == {
        "index": 1,
        "name": "learning_rate=low,seed=2",
        "model_dir": f"{tmp_path}/runs/learning_rate=low,seed=2",
        "state": "waiting",
        "values": {"learning_rate": 1e-3, "seed": 2},
        "command": words,
    }
    assert words[0] == "t5_mesh_transformer" and words[-1] == "--seed=2"
    assert not (tmp_path / "runs").exists()


def test_no_command_imports_tensorflow(write):
    path = write("s.yaml", f"{SWEEP}evaluate: {{checkpoints: last}}\n")
    code = (
        "import sys\n"
        f"from tests.experiments.sweeps.train_with_stand_in import train\n"
        f"assert train({path!r}, index='2') == 0\n"
        "from primer import cli\n"
        f"try: cli.main(['sweep', 'expand', {path!r}])\n"
        "except SystemExit as end: assert not end.code\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('tensorflow', 'ray')])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", code]
    output = subprocess.check_output(words, env=environment, cwd=ROOT, text=True)
    assert output.splitlines()[-1] == "[]"
    assert "two_rates: 1 of 4 done, 3 waiting" in output and "results.parquet (1 rows)" in output


@pytest.mark.parametrize(
    "variables, index, name",
    [
        ({}, "0", "learning_rate=low,seed=1"),
        ({"SLURM_ARRAY_TASK_ID": "2"}, "env", "learning_rate=high,seed=1"),
        ({"JOB_COMPLETION_INDEX": "3"}, "env", "learning_rate=high,seed=2"),
    ],
)
def test_index_is_one_run(variables, index, name, path, tmp_path, monkeypatch, capsys):
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    assert train(path, index=index) == 0
    assert os.listdir(tmp_path / "runs") == [name]
    assert "1 of 1 done" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        (["--index", "4"], "--index = '4': expected a number from 0 to 3, or env"),
        (["--index", "-1"], "--index = '-1'"),
        (["--index", "env"], "none of SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX is set"),
        (["--index", "1", "--workers", "1"], "give one or the other"),
        (["--workers", "0"], "--workers = 0: expected a whole number"),
        (["--workers", "9999"], "--workers = 9999: this process may use"),
        (["--address", "h:1"], "--address h:1: only with --engine ray"),
        (["--retries", "0"], "--retries 0: only with --engine ray"),
        (["--wait_for_nodes"], "--wait_for_nodes: only with --engine ray"),
        (["--engine", "ray", "--address", "ray://h:1"], "--address ray://h:1: a Ray client's"),
        (["--engine", "ray", "--cpus_per_run", "0"], "--cpus_per_run = 0: expected a whole"),
        (["--engine", "ray", "--gpus_per_run", "1.5"], "--gpus_per_run = 1.5: expected a whole"),
        (["--engine", "ray", "--retries", "-1"], "--retries = -1: expected a whole number of 0"),
    ],
)
def test_misuse_of_run_is_one_line(words, message, path, tmp_path, capsys, monkeypatch):
    for name in ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"):
        monkeypatch.delenv(name, raising=False)
    assert run("sweep", "run", path, *words) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_ray_that_is_not_installed_is_one_line(path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run("sweep", "run", path, "--engine", "ray") == 2
    error = capsys.readouterr().err
    assert "--engine ray needs the package ray: install Primer with the extra ray" in error
    assert "pip install 'primer[ray]'" in error and len(error.splitlines()) == 1


def test_evaluate_needs_its_key(path, capsys):
    assert run("sweep", "evaluate", path) == 2
    assert "s.yaml has no key evaluate, which says what to measure" in capsys.readouterr().err


@pytest.mark.slow  # Four starts of TensorFlow.
def test_the_engine_trains_and_evaluates_two_runs_and_a_second_command_none(
    small_texts, write, tmp_path, capfd
):
    path = write(
        "s.yaml",
        f"""
output: runs
run:
  architecture: primer_ez
  activation: squared_relu
  size: tiny
  task: text
  gin_file: {small_texts}/tiny.gin
  steps: 2
axes:
  - gin.dropout_rate: [0.0, 1e-1]
  - seed: [7]
evaluate: {{checkpoints: last, protocol: packed}}
""",
    )
    workers = str(min(2, len(os.sched_getaffinity(0))))
    assert run("sweep", "run", path, "--workers", workers) == 0, capfd.readouterr().err
    output = capfd.readouterr().out
    assert "s: 2 of 2 done" in output and output.count(" 2/2 ") == 2
    for name in ("dropout_rate=0.0,seed=7", "dropout_rate=0.1,seed=7"):
        folder = tmp_path / "runs" / name
        assert (folder / "model.ckpt-2.index").exists() and (folder / "config.gin").exists()
        (start,) = json.loads((folder / "run.json").read_text())["starts"]
        assert (start["outcome"], start["exit_code"], start["step"]) == ("done", 0, 2)
        texts = json.loads((folder / "texts.json").read_text())["checksums"]
        assert texts["data"] == start["data"] and len(texts["files"]) == 30
    rows = parquet.read_table(tmp_path / "runs" / "results.parquet").to_pylist()
    assert [(row["step"], row["protocol"], row["dropout_rate"]) for row in rows] == [
        (2, "packed", 0.0),
        (2, "packed", 0.1),
    ]
    for row in rows:
        assert 0 < row["nats_per_token"] < 7 and row["evaluated_bytes"] > 0 and row["flops"] > 0
        assert row["data_checksum"] == start["data"] and row["tokens"] == 2 * 4 * 32
    assert run("sweep", "run", path) == run("sweep", "evaluate", path) == 0
    again, messages = capfd.readouterr()
    assert again == 2 * output and not messages


PLANNED = """
output: runs
run: {activation: relu, size: tiny, task: sotu, steps: 3, gin.utils.run.batch_size: 2}
axes:
  - architecture: [transformer, primer_ez]
  - {gin.num_heads: [many], when: {architecture: primer_ez}}
  - seed: [1, 2]
"""


def test_plan_prints_what_runs_take_and_names_those_with_mistakes(write, tmp_path, capsys):
    path = write("s.yaml", PLANNED)
    words = ("sweep", "plan", path, "--chip", "v3", "--workers", "2")
    assert run(*words) == 2
    shown, messages = capsys.readouterr()
    assert "0-1   architecture=transformer" in shown and "estimated" in shown
    assert "2 runs: " in shown and "with --workers 2." in shown
    (mistake,) = [line for line in messages.splitlines() if line.startswith("primer: ")]
    assert mistake.startswith("primer: architecture=primer_ez,num_heads=many,seed=1: ")
    assert mistake.endswith("(and 1 more run)")
    assert run(*words, "--json") == 2
    data = json.loads(capsys.readouterr().out)
    (group,) = data["groups"]
    assert group["tokens"] == 3 * 2 * 256 and group["states"] == ["waiting"] * 2
    assert group["training_flops"] == pytest.approx(group["tokens"] * group["flops_per_token"])
    assert group["hours"] == pytest.approx(group["tokens"] / group["tokens_per_second"] / 3600)
    assert data["wall_hours"] == pytest.approx(group["hours"]) == data["wall_hours_left"]
    assert len(data["mistakes"]) == 1 and not (tmp_path / "runs").exists()


def test_plan_tells_mistakes_of_texts_before_it_imports_tensorflow(write, capsys, monkeypatch):
    from primer.planning.plans import engine_imports

    monkeypatch.setattr(engine_imports, "imported", lambda modules: pytest.fail("imported"))
    path = write("s.yaml", SWEEP.replace("steps: 3", "gin.utils.run.batch_size: many"))
    assert run("sweep", "plan", path) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "learning_rate=low,seed=1: utils.run.batch_size is 'many'" in line
    assert "(and 3 more runs)" in line
    assert run("sweep", "plan", path, "--workers", "9999") == 2
    assert "--workers = 9999" in capsys.readouterr().err
