"""`primer plan`: its files, its output, and mistakes in its options, which need no TensorFlow."""

import json
import subprocess
import sys

import pytest

from primer import cli
from primer.commands import plan as command

TINY = ["--architecture", "transformer", "--activation", "relu", "--size", "tiny"]
PARAMS = [
    *("--gin_param", "utils.run.batch_size = 8"),
    *("--gin_param", "utils.run.sequence_length = {'targets': 64}"),
]


@pytest.fixture
def plan(capsys, tmp_path, monkeypatch):
    """A function (words): the exit code and both outputs of `primer plan words...`."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        with pytest.raises(SystemExit) as end:
            cli.main(["plan", *map(str, words)])
        return end.value.code, *capsys.readouterr()

    return run


def test_tables_json_and_a_picture(plan, tmp_path):
    words = ["--mesh", "2x2", "--tokens", "1M", "--json", "plan.json", "--output", "new/plan.png"]
    code, out, _ = plan(*TINY, *PARAMS, "--vocabulary_size", 128, *words)
    assert code == 0
    for text in ("Memory of a device", "Layers: bytes", "Collectives of a step", "Assumptions:"):
        assert text in out
    assert "The run fits: a device needs " in out and "1,000,000 tokens: " in out
    numbers = json.loads((tmp_path / "plan.json").read_text())
    assert numbers["mesh"] == {"batch": 2, "model": 2} and numbers["fits"] is True
    from matplotlib import image

    assert image.imread(tmp_path / "new" / "plan.png").std() > 0.05
    code, _, err = plan(*TINY, "--json", "plan.json")
    assert code == 2 and "plan.json is there already" in err


def test_a_task_and_settings_without_effect(plan, write):
    own = write("own.gin", "num_layer = 3\ntext_files.held_out = 0.1\nd_model = 16\n")
    words = ["--gin_file", own, "--gin_param", "nothing_like_a_slot = 1"]
    code, out, err = plan(*TINY, "--task", "text", *words)
    assert code == 0
    assert "32 rows of 512 tokens a step" in out and "8,192 token ids" in out
    no_effect, warning = [line for line in err.splitlines() if "effect" in line]
    assert "'nothing_like_a_slot = 1' has no effect" in no_effect
    assert f"Warning: {own}:1: num_layer takes no effect" in warning
    assert "did you mean num_layers?" in warning


@pytest.mark.parametrize(
    "words, message",
    [
        ((), "nothing to plan: give --model"),
        ((*TINY, "--mesh", "8by16"), "--mesh '8by16': expected the sizes of the axes, as 8x16"),
        ((*TINY, "--layout", "batch"), "--layout: 'batch' is no rule; expected dimension:axis"),
        ((*TINY, "--tokens", "many"), "--tokens 'many': expected a number of tokens, as 300B"),
        ((*TINY, "--utilization", "0"), "--utilization = 0.0: expected a number above 0, at"),
        ((*TINY, "--utilization", "70"), "--utilization = 70.0: expected a number above 0, at"),
        ((*TINY, "--output", "plan.pdf"), "--output plan.pdf: expected the name of a .png"),
        ((*TINY, "--vocabulary_size", "0"), "--vocabulary_size = 0: expected a whole number"),
        (("--model", "tiny_primer"), "tiny_primer"),
        ((*TINY, "--gin_param", "recompte = True"), "did you mean recompute?"),
        ((*TINY, "--task", "sottu"), "sottu"),
        ((*TINY, "--mesh", "2x2x2"), "the mesh has 3 axes, and the layout rules name 2"),
    ],
)
def test_a_mistake_is_one_line(plan, words, message):
    code, out, err = plan(*words)
    assert code == 2 and out == ""
    assert message in err and err.count("\n") == 1


def test_a_mistake_in_an_option_needs_no_tensorflow():
    script = (
        "import sys; from primer import cli\n"
        "try: cli.main(['plan', '--model', 'small_primer', '--mesh', '8by16'])\n"
        "except SystemExit as end: print(end.code, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "2 False\n", done.stderr


@pytest.mark.parametrize("text, number", [("300B", 3e11), ("1.5t", 1.5e12), ("20,000", 2e4)])
def test_numbers_of_tokens(text, number):
    assert command._number_of_tokens(text) == number
