"""Runs the commands of docs/data.md in order in a new folder, with less text and a tiny model."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from primer.data.sources import sotu
from tests.paths import ROOT

PAGE = ROOT / "docs" / "data.md"
TEXTS = 40

# Text of the page -> replacement that makes the test faster.
LESS = {
    "--size demo --gin_file run/demo.gin": (
        "--size tiny --gin_file run/smoke.gin --steps 4 --gin_file fewer_documents.gin"
    ),
    "--size 4096": "--size 400",
    "--max_tokens 40": "--max_tokens 8",
}


def commands() -> list[str]:
    """Returns the shell commands of the page, block by block."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for text, instead in LESS.items():
        assert any(text in block for block in blocks), text
        blocks = [block.replace(text, instead) for block in blocks]
    return blocks


class Shell:
    """Runs blocks in one folder with the `primer` of this checkout."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable}
        self.environment.pop("PRIMER_DATA_DIR", None)

    def run(self, block):
        """Runs a block; returns its standard output and error."""
        done = subprocess.run(
            ["bash", "-euc", 'primer() { "$PYTHON" -m primer "$@"; }\n' + block],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, block + done.stdout[-2000:] + done.stderr[-4000:]
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """Returns a shell in a folder with beginnings of addresses in texts/."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "texts").mkdir()
    for path in sotu.paths("train")[:TEXTS]:
        text = pathlib.Path(path).read_text(encoding="utf-8")
        (folder / "texts" / f"{pathlib.Path(path).stem}.txt").write_text(text[:3000])
    (folder / "fewer_documents.gin").write_text("reduce_concat_tokens.batch_size = 4\n")
    return Shell(folder)


def record(shell, run):
    """Returns the evaluation results of a run."""
    path = shell.folder / "runs" / run / "eval" / "text_validation_stream.jsonl"
    return json.loads(path.read_text())


@pytest.mark.slow
def test_the_commands_of_the_page_run_in_order(shell):
    said = [shell.run(block) for block in commands()]
    inspected, vocabulary, prepared, trained, evaluated, generated, listed, mixed, records = said
    folder = shell.folder
    assert "Row 1:" in inspected and (folder / "look" / "lengths.png").stat().st_size > 5000
    assert "my.model: 400 pieces (unigram" in vocabulary
    counts = json.loads((folder / "prepared" / "text" / "primer.json").read_text())["splits"]
    assert sum(split["examples"] for split in counts.values()) == TEXTS
    assert f"{counts['train']['tokens']:,}" in prepared
    assert "primer train --data prepared/text" in prepared
    # The printed engine command names files of this folder.
    assert f"--additional_task_cache_dirs={folder}/prepared" in trained
    assert "step 4/4" in trained and (folder / "runs" / "mine" / "model.ckpt-4.index").exists()
    model = (folder / "my.model").read_bytes()
    assert (folder / "runs" / "mine" / "vocabulary.model").read_bytes() == model
    row = record(shell, "mine")
    held_out = counts["validation"]
    assert row["tokens"] == held_out["tokens"] + held_out["examples"] and row["step"] == 4
    assert 100 < row["perplexity_per_token"] < 1000  # With 400 pieces, after four steps.
    assert f"{row['tokens']:,}" in evaluated
    assert re.search(r"^The people of the United States", generated, re.MULTILINE)
    assert re.search(r"^[1-8] tokens?, the first after", generated, re.MULTILINE)
    assert re.search(r"sotu +here", listed) and "wikitext103" in listed
    assert "step 4/4" in mixed and "step 4/4" in records
    assert list((folder / "records" / "text").glob("train_*.tfrecords"))


def test_the_printed_outputs_are_of_the_commands_before_them():
    """A block of output follows each of the first six commands."""
    kinds = re.findall(r"^```(\w*)\n", PAGE.read_text(), re.MULTILINE)[0::2]
    assert kinds[:12] == ["sh", ""] * 6
    assert len(PAGE.read_text().splitlines()) < 220


def test_every_file_and_option_of_the_page_exists():
    text = PAGE.read_text()
    for name in re.findall(r"(?:objectives|run|datasets)/\w+\.gin", text):
        assert (ROOT / "gin" / name).is_file(), name
    help_ = "".join(
        subprocess.run(
            [sys.executable, "-m", "primer", *words, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        ).stdout
        for words in (
            ["data", "inspect"],
            ["data", "prepare"],
            ["data", "vocabulary"],
            ["train"],
            ["generate"],
            ["eval"],
        )
    )
    of_beam = {"--runner", "--direct_num_workers", "--direct_running_mode"}
    for option in set(re.findall(r"--[a-z]\w+", text)) - of_beam:
        assert option in help_ or option == "--additional_task_cache_dirs", option
