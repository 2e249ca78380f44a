"""The engine's command line as text, and its call in this process."""

import json
import shlex
import subprocess
import sys

import gin
import pytest

from primer.errors import UsageError
from primer.launch import engine


def test_the_printed_line_is_what_a_shell_reads_back():
    arguments = ['--gin_param=a = "it\'s $HOME"', "--model_dir=/tmp/with space"]
    program = "import json, sys; print(json.dumps(sys.argv[1:]))"
    python = f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"
    command = engine.shell_command(arguments).replace("t5_mesh_transformer", python, 1)
    assert json.loads(subprocess.check_output(command, shell=True)) == arguments


@pytest.mark.parametrize(
    "value",
    [3, 0.5, True, None, "it's", 'a "quoted" \\ text', "caf\u00e9", ["a", 1], ("a",), {"a": 1}],
)
def test_gin_reads_a_literal_back(value):
    expected = list(value) if isinstance(value, tuple) else value
    assert gin.config.parse_value(engine.gin_literal(value)) == expected


def test_settings_of_none_give_no_binding():
    settings = {"a.name": "x", "a.size": None, "b.flag": False, "b.number": 0}
    assert engine.gin_bindings(settings) == ['a.name = "x"', "b.flag = False", "b.number = 0"]


def test_the_arguments_for_a_directory_begin_with_its_own_configuration(tmp_path):
    with pytest.raises(UsageError, match="nothing was trained there"):
        engine.arguments_for_model_dir(str(tmp_path), "run/score.gin", [])
    (tmp_path / "config.gin").touch()
    assert engine.arguments_for_model_dir(
        str(tmp_path), "run/score.gin", ["a.b = 1"], ["mine"], "/data"
    ) == [
        "--module_import=t5_imports",
        "--module_import=mine",
        f"--model_dir={tmp_path}",
        f"--gin_file={tmp_path}/config.gin",
        "--gin_file=run/score.gin",
        "--gin_param=a.b = 1",
        "--t5_tfds_data_dir=/data",
    ]


def test_a_directory_whose_configuration_runs_code_is_refused(tmp_path):
    (tmp_path / "config.gin").write_text("import mine.layers\n")
    with pytest.raises(UsageError, match="--trust mine.layers"):
        engine.arguments_for_model_dir(str(tmp_path), "run/score.gin", [])
    for agreed in ({"trust": ["mine"]}, {"module_import": ["mine.layers"]}):
        assert engine.arguments_for_model_dir(str(tmp_path), "run/score.gin", [], **agreed)


@pytest.mark.parametrize(
    "end, code", [(None, 0), (SystemExit(None), 0), (SystemExit(3), 3), (SystemExit("no"), 1)]
)
def test_a_run_of_main_restores_gin_flags_and_the_command_line(end, code, monkeypatch):
    _, flags = engine._import_t5_main()
    if "engine_test" not in flags.FLAGS:
        flags.DEFINE_string("engine_test", "before", "of this test")
    flags.FLAGS(["test", "--engine_test=earlier"])
    seen = []

    def main(argv):
        seen.append((argv, sys.argv, flags.FLAGS.engine_test, gin.config_str()))
        gin.parse_config("gin.macro.value = 3")
        if end is not None:
            raise end

    monkeypatch.setattr(engine, "_import_t5_main", lambda: (main, flags))
    gin.parse_config("own = 5")
    before, words = gin.config_str(), sys.argv
    assert engine.run_main(["--engine_test=inside"]) == code
    script = engine.SCRIPT
    assert seen == [([script], [script, "--engine_test=inside"], "inside", "")]
    assert gin.config_str() == before and sys.argv is words
    assert flags.FLAGS.engine_test == "earlier"


def test_an_unknown_flag_is_one_line_and_misuse(monkeypatch, capsys):
    _, flags = engine._import_t5_main()
    monkeypatch.setattr(engine, "_import_t5_main", lambda: (pytest.fail, flags))
    assert engine.print_and_run(["--no_such_flag=1"]) == 2
    command, error = capsys.readouterr().err.rstrip().split("\n\n")
    assert command == "t5_mesh_transformer \\\n    --no_such_flag=1"
    assert error.startswith("primer: ") and "no_such_flag" in error
