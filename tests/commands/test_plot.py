"""`primer plot schedule`: the image, the table, and mistakes."""

import os
import re

import pytest

from primer import cli
from primer.gin_config import config_files


@pytest.fixture
def plot(capsys, tmp_path, monkeypatch):
    """A function (words): the exit code and both outputs of `primer plot schedule words...`."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        with pytest.raises(SystemExit) as end:
            cli.main(["plot", "schedule", *map(str, words)])
        return end.value.code, *capsys.readouterr()

    return run


def rows(out):
    """{first word: the other words} of the lines of an output."""
    return {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.split()}


def test_curves_of_names_are_drawn_and_their_numbers_printed(plot, tmp_path):
    code, out, _ = plot("cosine", "adamw", "--steps", 20_000, "--gin_param", "learning_rate = 0.5")
    assert code == 0
    # steps, step 0, highest, from step, mean, final.
    assert rows(out)["cosine"] == ["20,000", "0", "0.5", "200", "0.2747", "0.05"]
    assert rows(out)["adamw"][:4] == ["20,000", "0", "0.5", "200"]
    assert rows(out)["Curves:"] == ["schedule.png"]
    from matplotlib import image

    from primer.experiments import curves

    pixels = image.imread(tmp_path / "schedule.png")
    assert pixels.shape[1] > 1.5 * pixels.shape[0]
    for color in curves.COLORS[:2]:
        expected = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (abs(pixels[..., :3] - expected).max(-1) < 0.02).sum() > 200


def test_own_files_and_those_of_a_run(plot, write, tmp_path):
    own = write("mine.gin", "schedule = @linear_schedule\nutils.run.train_steps = 300\n")
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.gin").write_text(
        "import primer.schedules\n"
        "utils.run.learning_rate_schedule = @piecewise_schedule\n"
        "piecewise_schedule.learning_rate = 0.25\n"
        "utils.run.train_steps = 40\n"
    )
    code, out, _ = plot(own, run, run / "config.gin", "--output", "x.png", "--log")
    assert code == 0 and os.path.exists("x.png")
    assert rows(out)[own][:1] == ["300"]
    for name in (run, run / "config.gin"):
        assert rows(out)[str(name)] == ["40", "0.25", "0.25", "0", "0.2104", "0.025"]


def test_remarks_are_printed_with_their_rates(plot):
    code, out, _ = plot(
        "linear",
        *("--gin_param", "decay_steps = 5000", "--gin_param", "learning_rate = 1.0"),
        *("--gin_param", "final_learning_rate_fraction = 0.5", "--steps", 8000),
    )
    assert code == 0
    assert (
        "linear: decay_steps = 5000: the learning rate has its final value from step 5,000 to the "
        "end of the run, step 8,000. The rate is 0.5 at step 5,000; 0.5 at step 8,000."
    ) in out


def test_an_image_is_not_overwritten(plot):
    assert plot("constant", "--steps", 10)[0] == 0
    code, _, error = plot("constant", "--steps", 10)
    assert code == 2 and "schedule.png is there already" in error and "--overwrite" in error
    assert plot("constant", "--steps", 10, "--overwrite")[0] == 0


def test_a_file_of_all_curves(plot, write):
    file = write("all.gin", "warmup_steps = 0.5\n")
    _, out, _ = plot("cosine", "wsd", "--gin_file", file, "--steps", 100)
    assert rows(out)["cosine"][3] == rows(out)["wsd"][3] == "50"


@pytest.mark.parametrize(
    "words, message",
    [
        (["cosin"], "'cosin' is neither a gin file, nor the directory of a run, nor one of const"),
        (["mine.gin"], "GIN mine.gin: there is no such file"),
        (["gone/config.gin"], "gone/config.gin: there is no such file"),
        (["cosine", "--steps", "0"], "--steps = 0: expected a whole number"),
        (["cosine", "--gin_param", "warmup_steps = -1"], "cosine: warmup_steps = -1: expected"),
        (["t2t"], "t2t: t2t_schedule.hidden_size: .* set d_model"),
        (["cosine", "--gin_file", "gone.gin"], "--gin_file gone.gin: there is no such file"),
    ],
)
def test_mistakes_are_named_in_one_line_and_nothing_is_written(plot, words, message):
    code, out, error = plot(*words)
    assert code == 2 and not os.path.exists("schedule.png")
    assert re.search(message, error) and error.count("\n") == 1, error


def test_the_settings_of_a_run_run_no_code_of_their_own(plot, tmp_path):
    (tmp_path / "config.gin").write_text("import os\n")
    code, _, error = plot(tmp_path)
    assert code == 2 and "os" in error and "config.gin" in error


def test_every_schedule_is_drawn(plot):
    names = config_files.names_of_kind("schedules")
    code, out, _ = plot(*names, "--gin_param", "d_model = 64", "--steps", 50_000)
    assert code == 0
    assert set(names) <= set(rows(out))
