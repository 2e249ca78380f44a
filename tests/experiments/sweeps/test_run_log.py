"""The progress and the last lines of a run's log."""

import pytest

from primer.experiments.sweeps import run_log
from primer.experiments.sweeps.run_log import Progress
from primer.runtime.training import progress


def test_the_engines_own_lines_of_progress_are_read(tmp_path, capfd):
    measures = {"learning_rate": 6e-4, "gradient_norm": 0.53}
    with progress.Progress(0, 1200, 128, full_speed=1e9) as shown:
        shown.update(1199, 3.25, measures)
        shown.update(1200, 3.125, measures)
    (line,) = capfd.readouterr().err.splitlines()
    (tmp_path / "log.txt").write_text(f"a header\n{line}\n")
    found = run_log.progress(str(tmp_path))
    assert found[:3] == (1200, 1200, "3.1250") and found.left == "0:00"
    assert f"  {found.tokens_per_second} tokens/s" in line


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", None),
        ("no step 1/2 here\n", None),
        (
            "step 1/9  loss 3.0  5 tokens/s  0:09 left\n=== start 2\nstarting\n",
            Progress(1, 9, "3.0", "", ""),
        ),
        ("step 1/2  loss nan\n", Progress(1, 2, "nan", "", "")),
        (
            "step 1/9  loss 3.0  5 tokens/s  0:09 left\n=== start 2\nstep 2,000/9,000  loss 2.0"
            "  lr 1e-3  1.2M tokens/s  epoch 1  1:02:05 left\nafter",
            Progress(2000, 9000, "2.0", "1.2M", "1:02:05"),
        ),
    ],
)
def test_the_last_progress_is_read(text, expected, tmp_path):
    (tmp_path / "log.txt").write_text(text)
    assert run_log.progress(str(tmp_path)) == expected


def test_a_log_that_grew_is_read_again(tmp_path):
    assert run_log.progress(str(tmp_path)) is None
    run_log.begin(str(tmp_path), "start 1")
    for step in (1, 2):
        with open(tmp_path / "log.txt", "a") as log:
            log.write("x" * 100_000 + f"\nstep {step}/2  loss 1.0\n")
        assert run_log.progress(str(tmp_path)).step == step


def test_the_last_lines_are_those_of_the_last_start(tmp_path):
    (tmp_path / "log.txt").write_text("=== start 1\nold\n=== start 2\na\n\nb\nc\n")
    assert run_log.last_lines(str(tmp_path), 2) == ["b", "c"]
    assert run_log.last_lines(str(tmp_path), 9) == ["a", "b", "c"]
    run_log.begin(str(tmp_path), "start 3")
    assert run_log.last_lines(str(tmp_path), 9) == []


def test_the_speed_of_each_start_is_that_of_its_last_line(tmp_path):
    assert run_log.speeds(str(tmp_path)) == {}
    starts = [
        ["step 9/9  loss 1.0  1.5k tokens/s  0:00 left"],
        ["no line"],
        ["step 5/9  loss 1.0  1 tokens/s  0:09 left"],  # The first step alone: with preparation.
        ["step 5/9  loss 1.0  1 tokens/s  0:09 left", "step 9/9  loss 1.0  2.0M tokens/s"],
        ["step 8/9  loss 1.0  30 tokens/s  0:01 left", "step 9/9  loss 1.0  20 tokens/s"],
    ]
    for number, lines in enumerate(starts, 1):
        run_log.begin(str(tmp_path), f"start {number} of a=1,seed=2, 2026-11-29")
        with open(tmp_path / "log.txt", "a") as log:
            log.write("".join(line + "\n" for line in lines))
    assert run_log.speeds(str(tmp_path)) == {1: 1500.0, 4: 2e6, 5: 20.0}
