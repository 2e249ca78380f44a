"""`primer ladder`: options, misuse, the sweeps that it trains, and a ladder of the real engine."""

import argparse
import json
import os
import subprocess
import sys

import pytest

from primer.commands import ladder
from primer.errors import UsageError
from tests.command_lines import run
from tests.experiments.ladders import requests
from tests.experiments.sweeps.train_with_stand_in import PROGRAM
from tests.paths import ROOT

WORDS = ("--base", "llama", "--change", "attention = @MDHA", "--sizes", "3M,10M")


def request_of(*words):
    parser = argparse.ArgumentParser()
    ladder.add_arguments(parser)
    return ladder.request_of(parser.parse_args(words))


def test_options_become_a_request(write, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    write("mine.gin", "")
    asked = request_of(*WORDS, "--task", "sotu", "--gin_file", "mine.gin", "--seeds", "4,0")
    assert asked.settings == {**requests.SETTINGS, "gin_file": [f"{tmp_path}/mine.gin"]}
    assert asked.seeds == [4, 0] and asked.has_own_schedule
    assert [size.depth for size in asked.sizes] == [4, 6]
    other = request_of(*WORDS, "--rule", "nanochat", "--schedule", "cosine", "--data", "texts")
    assert other.settings["optimizer"] == "muon" and not other.has_own_schedule
    assert other.settings["data"] == f"{tmp_path}/texts"


@pytest.mark.parametrize(
    "words, message",
    [
        (("--base", "lama"), "no 'lama'"),
        (("--base", "transformer"), "names no activation; set --activation, one of"),
        (("--change", "attentoin = @MDHA"), "did you mean attention?"),
        (("--sizes", "small"), "--sizes 'small': expected numbers of parameters"),
        (("--sizes", "1K"), "has 49,152 parameters"),
        (("--tokens_per_parameter", "0"), "--tokens_per_parameter = 0.0: expected a number above"),
        (("--seeds", "1,x"), "--seeds 1,x: expected whole numbers"),
        (("--seeds", "1,1"), "each once"),
        (("--evaluations", "0"), "--evaluations = 0"),
        (("--rates", "1e-3"), "expected with --rule sweep only"),
        (("--rule", "sweep", "--rates", "0"), "--rates 0: expected learning rates"),
        (("--rule", "sweep", "--learning_rate", "1"), "name the rates to try with --rates"),
        (("--learning_rate", "0"), "--learning_rate = 0.0"),
        (("--output", "x", "--workers", "999"), "--workers = 999"),
        (("--task", "sotoo"), "sotoo"),
        (("--optimizer", "adamx"), "adamx"),
        ((), "--output: name the folder of the ladder, or add --dry_run"),
    ],
)
def test_misuse_is_one_line_before_tensorflow_is_needed(words, message, capsys, monkeypatch):
    monkeypatch.setattr(ladder.counting, "counts", lambda *arguments: pytest.fail("counted"))
    assert run("ladder", *WORDS, "--task", "sotu", *words) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


def test_without_data_the_options_are_named(capsys):
    assert run("ladder", *WORDS, "--dry_run") == 2
    assert "no data: give --task" in capsys.readouterr().err


def test_a_dry_run_prints_all_numbers_and_writes_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)

    def counted(commands, modules):
        found = requests.counts(request_of(*WORDS, "--task", "sotu"))
        assert len(commands) == len(found) and modules == []
        return list(found.values())

    monkeypatch.setattr(ladder.counting, "counts", counted)
    assert run("ladder", *WORDS, "--task", "sotu", "--dry_run", "--output", "mine") == 0
    output = capsys.readouterr().out
    (small, large) = requests.build(request_of(*WORDS, "--task", "sotu"))
    for rung in (small, large):
        for number in (rung.base.n, rung.batch_tokens, rung.tokens, rung.steps, rung.rows):
            assert f" {number:,} " in output
        assert f" {rung.learning_rates['base']:g} " in output
        for count in rung.counts.values():
            assert f" {count.parameters:,} " in output
    assert "rate 0.0047 (N / 108M)^(-1/3) / 2" in output and "12 runs" in output
    assert not list(tmp_path.iterdir())


def test_a_dry_run_of_a_sweep_of_rates_says_what_is_tried(monkeypatch, capsys):
    asked = request_of(*WORDS, "--task", "sotu", "--rule", "sweep", "--rates", "1e-2,1e-3")
    found = list(requests.counts(asked).values())
    monkeypatch.setattr(ladder.counting, "counts", lambda *_: found)
    words = ("--task", "sotu", "--rule", "sweep", "--rates", "1e-2,1e-3", "--dry_run")
    assert run("ladder", *WORDS, *words) == 0
    output = capsys.readouterr().out
    assert "Before: 4 runs of 3M with the rates 0.001, 0.01, " in output
    assert "Rule sweep: the rate that is best at the smallest size" in output
    assert (
        " the best " in output
        and f" {(found[2].n / found[0].n) ** (-1 / 3):.3f} x the best " in output
    )


def test_a_model_that_cannot_be_built_is_named(monkeypatch, capsys):
    monkeypatch.setattr(ladder.counting, "counts", lambda *_: ["odd", "x", "x", "x"])
    assert run("ladder", *WORDS, "--task", "sotu", "--dry_run") == 2
    assert capsys.readouterr().err.splitlines()[-1] == "primer: --sizes 3M, depth 4, base: odd"


def test_a_ladder_is_trained_and_goes_on(tmp_path, capsys):
    asked = requests.request(tokens_per_parameter=0.3)
    built = requests.build(asked)
    output = str(tmp_path / "mine")
    assert ladder.train(asked, built, output, 1, PROGRAM) == 0
    shown, messages = capsys.readouterr()
    assert "mine: 8 of 8 done" in shown and "primer sweep run" in messages
    record = json.loads(
        (tmp_path / "mine/runs/size=400K,change=attention-MDHA,seed=2/run.json").read_text()
    )
    assert record["settings"]["gin_param"] == ["attention = @MDHA"]
    assert ladder.train(asked, built, output, 1, PROGRAM) == 0
    assert "begins" not in capsys.readouterr().err
    with pytest.raises(UsageError, match="is another ladder"):
        ladder.train(requests.request(), requests.build(requests.request()), output, 1, PROGRAM)


def test_what_runs_a_ladder_imports_no_tensorflow(tmp_path):
    code = (
        "import sys\n"
        "from primer.commands import ladder\n"
        "from tests.experiments.ladders import requests\n"
        "from tests.experiments.sweeps.train_with_stand_in import PROGRAM\n"
        "asked = requests.request(tokens_per_parameter=0.3, seeds=[1])\n"
        f"assert ladder.train(asked, requests.build(asked), {str(tmp_path)!r}, 1, PROGRAM) == 0\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'tensorflow'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", code]
    output = subprocess.check_output(words, env=environment, cwd=ROOT, text=True)
    assert output.splitlines()[-1] == "[]"


# The stand-in, with validation losses that are lowest for the rate 1e-2.
EVALUATING = """
import math, sys
from tests.experiments.sweeps import stand_in
write = stand_in.write_result
rate = float(stand_in.binding("learning_rate", "1"))
def with_its_own_loss(folder, step, split):
    loss = 3 + abs(math.log10(rate) + 2)
    (folder / "handicap.txt").write_text(str(loss - 9 + step / 8))
    write(folder, step, split)
stand_in.write_result = with_its_own_loss
sys.exit(stand_in.main())
"""


def test_the_best_rate_of_the_smallest_size_is_carried(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    asked = requests.request(
        rule="sweep", rates=[1e-3, 1e-2, 1e-1], tokens_per_parameter=0.3, seeds=[1]
    )
    built = requests.build(asked)
    program = (sys.executable, "-c", EVALUATING)
    assert ladder.train(asked, built, str(tmp_path / "mine"), 1, program) == 0
    shown, messages = capsys.readouterr()
    assert "base: rate 0.01 of 0.001: 4.0000, 0.01: 3.0000, 0.1: 4.0000" in messages
    assert "mine_tuning: 6 of 6 done" in shown and "mine: 4 of 4 done" in shown
    for size, rung in zip(("50K", "400K"), built):
        settings = json.loads(
            (tmp_path / f"mine/runs/size={size},change=base,seed=1/run.json").read_text()
        )["settings"]
        expected = 1e-2 * (rung.base.n / built[0].base.n) ** (-1 / 3)
        assert settings["learning_rate"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.slow  # Three starts of TensorFlow.
def test_the_engine_trains_a_ladder(small_texts, tmp_path, capfd):
    words = ["--base", "primer_ez", "--sizes", "50K", "--change", "norm = @sublayer_rms_norm"]
    words += ["--task", "text", "--gin_file", f"{small_texts}/tiny.gin", "--seeds", "7"]
    words += ["--tokens_per_parameter", "1", "--output", str(tmp_path / "mine")]
    assert run("ladder", *words) == 0, capfd.readouterr().err
    output = capfd.readouterr().out
    assert "mine: 2 of 2 done" in output
    assert run("sweep", "run", str(tmp_path / "mine" / "ladder.yaml")) == 0
    assert "2 of 2 done" in capfd.readouterr().out
