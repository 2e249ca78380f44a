"""`primer export-metrics`: the file that it writes, and the options that it refuses."""

import csv

import pytest

from tests.command_lines import run
from tests.runtime.tracking.test_event_files import write


@pytest.fixture
def model_dir(tmp_path):
    """A directory with the events of two steps and of one evaluation."""
    directory = tmp_path / "run"
    write(directory, "1.host", (1, {"loss": 2.0, "rate": 0.1}), (2, {"loss": 1.5}), start=1)
    write(directory / "eval" / "x", "2.host", (2, {"nats": 1.25}))
    return directory


def test_all_numbers_are_written(model_dir, tmp_path, capfd):
    output = tmp_path / "out" / "m.csv"
    assert run("export-metrics", "--model_dir", model_dir, "--output", output) == 0
    with output.open(newline="") as file:
        rows = [tuple(row.values())[:4] for row in csv.DictReader(file)]
    assert rows == [
        ("train", "1", "loss", "2.0"),
        ("train", "2", "loss", "1.5"),
        ("train", "1", "rate", "0.10000000149011612"),
        ("eval/x", "2", "nats", "1.25"),
    ]
    printed = capfd.readouterr().out
    assert "4 numbers (3 of train, 1 of eval/x) of 3 tags, steps 1 to 2" in printed
    words = ("--model_dir", model_dir, "--output", output)
    assert run("export-metrics", *words) == 2
    assert run("export-metrics", *words, "--overwrite", "--tag", "lo*", "nats") == 0
    assert len(output.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    "words, message",
    [
        (["--output", "m.txt"], "expected a name in .csv, .jsonl, .parquet"),
        (["--output", "m.csv", "--tag", "perplexity"], "there are loss, nats, rate"),
        (["--output", "m.csv", "--model_dir", "nowhere"], "there is no such directory"),
    ],
)
def test_errors_are_one_line(model_dir, tmp_path, monkeypatch, capfd, words, message):
    monkeypatch.chdir(tmp_path)
    assert run("export-metrics", "--model_dir", model_dir, *words) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("primer: ")]
    assert message in line and not (tmp_path / "m.csv").exists()
