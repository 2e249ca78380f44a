"""The wrappers of `utils.run` and t5's main."""

import json
import subprocess
import sys

import pytest

from primer.common import console
from primer.errors import UsageError
from primer.runtime import callbacks, cluster
from primer.runtime.command_line import guarded_run
from tests.command_lines import ENGINE
from tests.runtime import tiny


def test_a_wrong_setting_with_the_model_api_ends_with_one_line(tmp_path):
    words = [
        *("--use_model_api", "--mode=train", "--train_steps=1", f"--model_dir={tmp_path}"),
        *("--module_import=t5_imports", "--mixture_or_task=sotu"),
        *("--gin_file=models/defaults.gin", "--gin_file=models/small_primer.gin"),
        *("--gin_file=datasets/sotu.gin", "--gin_param=estimator.kind = 'remote'"),
    ]
    done = subprocess.run([sys.executable, "-c", ENGINE, *words], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("primer: ")]
    assert "estimator.kind = 'remote'" in line
    assert (tmp_path / "train.log").exists()


def test_a_failing_check_ends_the_run_before_any_file_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(callbacks, "_registry", callbacks._Registry())

    @callbacks.before_run
    def refuse(mode):
        raise UsageError(f"no {mode} today")

    with pytest.raises(SystemExit) as ended:
        tiny.run(tmp_path / "new")
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == "primer: no train today"
    assert not (tmp_path / "new").exists()


def test_a_host_that_is_not_the_chief_serves_instead_of_training(tmp_path, monkeypatch):
    served = []
    task = {"type": "worker", "index": 1}
    hosts = {"worker": ["a:1", "b:2"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": hosts, "task": task}))
    monkeypatch.setattr(cluster, "serve_until_chief_ends", served.append)
    tiny.run(tmp_path / "new")
    assert [one.own_index for one in served] == [1]
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "bindings, rows",
    [
        ([], "training's rows"),
        (["utils.run.eval_dataset_fn = @mesh_eval_dataset_fn"], "(as_released)"),
    ],
)
def test_the_line_after_stock_evaluation_names_its_rows(bindings, rows, monkeypatch, capsys):
    tiny.configure()
    import gin

    with gin.unlock_config():
        gin.clear_config(clear_constants=False)
        gin.parse_config([*bindings, "utils.run.dataset_split = 'validation'"])
    guarded_run._say_how_to_score_whole_split("runs/a b")
    line = capsys.readouterr().err
    assert rows in line and "the first 100 batches" in line
    assert line.endswith("primer eval '--model_dir=runs/a b' --split=validation\n")


def test_the_log_is_in_the_model_directory(trained):
    assert (trained / console.LOG_NAME).stat().st_size > 0
