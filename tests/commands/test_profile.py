"""`primer profile`: its output and files, and mistakes in its options."""

import json

import pytest

from primer import cli
from tests.commands.test_plan import TINY


@pytest.fixture
def profile(capsys, tmp_path, monkeypatch):
    """A function (words): the exit code and both outputs of `primer profile words...`."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        with pytest.raises(SystemExit) as end:
            cli.main(["profile", *map(str, words)])
        return end.value.code, *capsys.readouterr()

    return run


def test_tables_and_a_folder(profile, tmp_path):
    sizes = ("--batch_size", 2, "--length", 16, "--vocabulary_size", 128)
    few = ("--steps", 1, "--warm_up", 1)
    compiled = ("--task", "sotu", "--gin_param", "compile.xla = True", "--gin_param", "num_lay = 1")
    code, out, err = profile(*TINY, *sizes, *few, *compiled, "--output", "new")
    assert code == 2 and "nothing refers to num_lay; did you mean num_layers?" in err
    code, out, err = profile(*TINY, *sizes, *few, *compiled[:-2], "--output", "new")
    assert code == 0 and "takes no effect" not in err
    for text in ("Profile of a training step of 2 x 16 tokens", "By layer", "DenseReluDense"):
        assert text in out
    assert out.startswith("Not compiled: compile.xla is on")
    found = json.loads((tmp_path / "new" / "profile.json").read_text())
    assert found["operation_seconds"] > 0 and found["protocol"]["is_uncompiled"] is True
    code, _, err = profile(*TINY, "--output", "new")
    assert code == 2 and "new/profile.json is there already" in err and "--overwrite" in err


@pytest.mark.parametrize(
    "words, message",
    [
        ((), "nothing to profile: give --model"),
        ((*TINY, "--steps", "0"), "--steps = 0: expected a whole number"),
        ((*TINY, "--threads_within", "-1"), "--threads_within = -1: expected a whole number"),
        ((*TINY, "--length", "0"), "--length = 0: expected a whole number"),
        (("--model", "tiny_primer"), "tiny_primer"),
        ((*TINY, "--gin_param", "d_kv = 3", "--gin_param", "no_such.x = 1"), "no_such"),
    ],
)
def test_a_mistake_is_one_line(profile, words, message):
    code, out, err = profile(*words)
    assert code == 2 and out == ""
    assert message in err and err.count("\n") == 1
