"""`primer report`: the files it writes, the page, and what it refuses."""

import csv
import html.parser
import json
import os
import re
import shutil

import pytest

from primer.experiments.report import exports
from tests.command_lines import run
from tests.experiments.report import made_up_runs

VOID = {"meta", "img", "br", "link", "input"}


class Page(html.parser.HTMLParser):
    """Collects the tags of a page, and fails where they are not nested."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made_up_runs.sweep(
        tmp_path_factory.mktemp("sweep") / "runs",
        {"transformer": 4.3, "primer<ez>&": 4.2, "llama": 4.302},
    )


def test_the_page_and_its_files(folder, tmp_path, capsys):
    page = tmp_path / "out" / "report.html"
    assert run("report", folder, "--output", page, "--baseline", "transformer") == 0
    output = capsys.readouterr().out
    assert "primer<ez>&" in output and "better" in output and str(page) in output
    text = page.read_text()
    found = Page(text)
    # Self-contained: no script, and nothing that a browser would fetch.
    assert not {"script", "link", "iframe"} & {tag for tag, _ in found.tags}
    sources = [attrs[key] for _, attrs in found.tags for key in ("src", "href") if key in attrs]
    assert len(sources) == 5 and all(s.startswith("data:image/png;base64,") for s in sources)
    outside_pictures = re.sub(r"data:image/png;base64,[^\"]*", "", text)
    assert "url(" not in outside_pictures and "http" not in outside_pictures
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in (
        found.tags
    )
    assert all(attrs["alt"] for tag, attrs in found.tags if tag == "img")
    assert "primer<ez>&: 0." in found.text and "nats per token lower than transformer" in found.text
    assert "155,160 tokens, 758,194 bytes" in found.text and "over 5 seeds" in found.text

    files = tmp_path / "out" / "report_files"
    names = {"loss_by_steps", "loss_by_tokens", "loss_by_flops", "loss_by_seconds", "differences"}
    assert {p.name for p in files.iterdir()} == {f"{name}.png" for name in names} | {
        *("finals.csv", "checkpoints.csv", "settings.csv", "speedups.csv", "report.json")
    }
    (section,) = json.loads((files / "report.json").read_text())["sections"]
    assert section["unit"] == "nats_per_token" and section["baseline"] == "transformer"
    rows = {row["group"]: row for row in section["finals"]}
    assert rows["transformer"]["difference"] is None
    speedups = {(row["group"], row["cost"]): row for row in section["speedups"]}
    assert len(speedups) == 4 and 1 < speedups["primer<ez>&", "flops"]["low"] < 5
    assert f"FLOPs5{speedups['primer<ez>&', 'flops']['factor']:.2f}" in found.text
    assert rows["llama"]["result"] == "no difference shown"
    with open(files / "finals.csv") as lines:
        assert {r["group"]: r["loss"] for r in csv.DictReader(lines)} == {
            name: str(row["loss"]) for name, row in rows.items()
        }
    with open(files / "checkpoints.csv") as lines:
        checkpoints = list(csv.DictReader(lines))
    assert len(checkpoints) == len(section["checkpoints"]) == 3 * 5 * 3
    assert run("report", folder, "--output", page) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["--output", "report.pdf"], "expected the name of an .html file"),
        (["--baseline", "transfrmer"], "expected one as transformer"),
        (["--asymptote", "-1"], "--asymptote = -1.0: expected a loss of 0 or more"),
        (["gs://bucket/run"], "expected a local path"),
        (["none"], "there is no such directory"),
    ],
)
def test_misuse_is_one_line(words, message, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("report", folder, *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not os.listdir(tmp_path)


def test_a_wrong_run_is_told_before_an_earlier_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.html").touch()
    assert run("report", "none") == 2
    assert "there is no such directory" in capsys.readouterr().err


def test_a_full_disk_leaves_the_earlier_report(folder, tmp_path, monkeypatch, capsys):
    page = tmp_path / "report.html"
    assert run("report", folder, "--output", page) == 0
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    written = []

    def full(descriptor):
        written.append(descriptor)
        if len(written) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(exports.os, "fsync", full)
    assert run("report", folder, "--output", page, "--overwrite", "--baseline", "llama") == 2
    assert "No space left on device; nothing was replaced" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.slow  # TensorFlow restores and scores two checkpoints.
def test_a_run_that_was_trained_and_evaluated(small_run, tmp_path, capfd):
    model_dir = tmp_path / "tiny"
    shutil.copytree(small_run, model_dir)
    page = tmp_path / "report.html"
    assert run("report", model_dir, "--output", page) == 2
    assert f"first: primer eval --model_dir {model_dir}" in capfd.readouterr().err
    assert run("eval", "--model_dir", model_dir, "--checkpoints", "3,6") == 0
    assert run("report", model_dir, "--output", page) == 0
    (section,) = json.loads((tmp_path / "report_files" / "report.json").read_text())["sections"]
    (row,) = section["finals"]
    assert (row["group"], row["step"], row["seeds"]) == ("tiny", 6, 1)
    assert row["tokens"] == 6 * 4 * 32 and row["flops"] > 0 and row["seconds"] is None
    first, last = section["checkpoints"]
    assert last["nats_per_token"] == row["loss"] < first["nats_per_token"]
    assert "cut into windows of 32 tokens" in section["how"]
