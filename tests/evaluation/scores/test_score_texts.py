"""`primer score` against numpy and the totals of `primer eval`, and its errors."""

import contextlib
import gzip
import io
import json
import math
import os
import shlex
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
import seqio

import primer
from primer import cli
from primer.data.vocabularies.task_vocabulary import SOTU_MODEL
from primer.errors import UsageError
from primer.evaluation import protocols
from primer.evaluation.scores import documents
from tests import golden_model
from tests.command_lines import ENGINE, run

LINES = ["7 times 8 is 56.", "caf\u00e9 \u2014 \u6f22\u5b57", "  ", "2 times 2\tis 4."]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A directory with checkpoints 3 and 6 of a model of 32 bytes, beside its texts."""
    return golden_model.unpack(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module")
def model(trained):
    loaded = primer.load(trained)
    yield loaded
    loaded.close()


class Printed(NamedTuple):
    rows: list
    out: str


def score(trained, *words, code=0) -> Printed:
    """The rows that `primer score` prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert run("score", "--model_dir", trained, *words) == code
    printed = out.getvalue()
    return Printed([json.loads(line) for line in printed.splitlines()], printed)


@pytest.fixture(scope="module")
def whole_split(trained):
    """Protocol -> the rows of the validation split, with tokens."""
    options = {"packed": [], "stream": [], "sliding_9": ["--stride", 9], "document": []}
    return {
        label: score(
            *(trained, "--split", "validation", "--tokens"),
            *("--protocol", label.split("_")[0], *more),
        ).rows
        for label, more in options.items()
    }


@pytest.mark.parametrize("label", ["packed", "document", "stream", "sliding_9"])
def test_totals_are_those_of_numpy_from_the_tokens(label, whole_split, trained, model):
    """The texts are read from their files, the sums made with numpy, the totals by the protocol."""
    found = whole_split[label]
    name, _, stride = label.partition("_")
    protocol = protocols.Protocol(name, int(stride) if stride else None)
    with model._settings():
        split_text = protocol.read_split("text", "validation", model.length)
    totals = protocol.evaluate(model.scorer, split_text)
    log_probs = np.concatenate([np.array(row["log_probs"], np.float64) for row in found])
    nats = -log_probs.sum()
    contents = ["".join(row["pieces"][:-1]).replace("<0x0A>", "\n") for row in found]
    files = {path.read_text() for path in trained.parent.glob("texts/*.txt")}
    assert set(contents) <= files and len(found) == totals.documents > 1
    assert totals.nats == pytest.approx(nats, rel=1e-12)
    assert totals.nats_per_token == pytest.approx(nats / len(log_probs), rel=1e-12)
    size = sum(len(content.encode()) + 1 for content in contents)
    assert totals.bits_per_byte == pytest.approx(nats / math.log(2) / size, rel=1e-12)
    characters = sum(len(content) + 1 for content in contents)
    expected = nats / math.log(2) / characters
    assert totals.bits_per_character == pytest.approx(expected, rel=1e-12)
    words = sum(len(content.split()) for content in contents)
    assert totals.perplexity_per_word == pytest.approx(math.exp(nats / words), rel=1e-9)
    assert totals.end_nats == pytest.approx(-sum(row["log_probs"][row["end"]] for row in found))


def test_a_row_adds_up(whole_split):
    for label, found in whole_split.items():
        for number, row in enumerate(found, 1):
            assert (row["source"], row["document"]) == ("text/validation", number)
            assert (row["protocol"], row["step"]) == (label, 6)
            assert row["nats"] == pytest.approx(-np.sum(row["log_probs"]), rel=1e-12)
            sizes = {len(row[name]) for name in ("ids", "pieces", "log_probs")}
            assert sizes == {row["tokens"]} and row["end"] == row["tokens"] - 1
            assert row["end_nats"] == -row["log_probs"][-1] and row["pieces"][-1] == "</s>"
            np.testing.assert_array_equal(row["log_probs"], np.float32(row["log_probs"]))


def test_protocols_differ_where_they_should(whole_split):
    packed, document, stream, sliding = (
        np.concatenate([row["log_probs"] for row in whole_split[label]])
        for label in ("packed", "document", "stream", "sliding_9")
    )
    np.testing.assert_allclose(packed, document, atol=1e-4)
    assert np.abs(packed - stream).max() > 1e-3 and np.abs(sliding - stream).max() > 1e-3
    np.testing.assert_allclose(sliding[:32], stream[:32], atol=1e-4)


def test_small_chunks_and_large_ones_agree(trained, monkeypatch, whole_split):
    monkeypatch.setattr(documents, "_MAX_DOCUMENTS", 2)
    words = ("--split", "validation", "--protocol", "sliding", "--stride", 9)
    found = [row["nats"] for row in score(trained, *words).rows]
    assert found == pytest.approx([row["nats"] for row in whole_split["sliding_9"]], rel=1e-6)


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return path


def test_lines_of_a_file_are_what_the_library_scores(lines, trained, model):
    found = score(trained, lines, "--unit", "line", "--tokens").rows
    assert [row["document"] for row in found] == [1, 2, 4]  # A blank line is no document.
    kept = [line for line in LINES if line.strip()]
    for row, line, total, tokens in zip(
        found, kept, model.score(kept), model.token_scores(kept), strict=True
    ):
        assert row["source"] == str(lines)
        assert row["nats"] == pytest.approx(total.nats, rel=1e-6)
        assert row["tokens"] == row["bytes"] == len(line.encode()) + 1
        assert (row["characters"], row["words"]) == (len(line) + 1, len(line.split()))
        assert row["ids"] == tokens.ids.tolist() and row["pieces"] == tokens.pieces
        np.testing.assert_allclose(row["log_probs"], tokens.log_probs, rtol=1e-5)
        assert -tokens.log_probs.sum(dtype=np.float64) == pytest.approx(total.nats, rel=1e-12)
    assert found[1]["pieces"][:5] == ["c", "a", "f", "<0xC3>", "<0xA9>"]
    assert model.token_scores([]) == [] == model.score([])
    with pytest.raises(UsageError, match="token_scores.texts.: expected a list"):
        model.token_scores("a text")


def test_all_formats_in_the_order_of_the_words(lines, trained, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = [tmp_path / name for name in ("z.jsonl.gz", "a.parquet", "one.txt")]
    with gzip.open(words[0], "wt") as out:
        out.writelines(json.dumps({"body": line}) + "\n" for line in LINES[:2])
    pq.write_table(pa.table({"body": LINES}), words[1])
    words[2].write_text("\n".join(LINES))
    found = score(trained, *words, "--field", "body").rows
    places = [(os.path.basename(row["source"]), row["document"]) for row in found]
    assert places == [
        *(("z.jsonl.gz", n) for n in (1, 2)),
        *(("a.parquet", n) for n in (1, 2, 4)),
        ("one.txt", 1),
    ]
    assert found[0]["nats"] == pytest.approx(found[2]["nats"], rel=1e-6)
    assert found[5]["bytes"] == len("\n".join(LINES).encode()) + 1 and "ids" not in found[5]


def test_parquet_has_what_json_has(lines, trained, tmp_path):
    import pyarrow.parquet as pq

    words = (lines, "--unit", "line", "--tokens")
    path = tmp_path / "new" / "scores.parquet"
    assert score(trained, *words, "--format", "parquet", "--output", path).out == ""
    table = pq.read_table(path)
    assert str(table.schema.field("log_probs").type) == "list<element: float>"
    expected = score(trained, *words).rows
    assert table.to_pylist() == expected
    assert table.schema.metadata[b"primer.step"] == b"6"
    assert os.listdir(path.parent) == ["scores.parquet"]
    assert score(trained, *words, "--output", path.parent / "x.jsonl").out == ""
    written = (path.parent / "x.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == expected


def test_a_checkpoint_may_be_chosen(lines, trained):
    (first, *_) = score(trained, lines, "--checkpoint", 3).rows
    assert first["step"] == 3 and first["nats"] > score(trained, lines).rows[0]["nats"]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_nothing_half_written_is_left(form, lines, trained, tmp_path, capfd):
    bad = tmp_path / "later.txt"
    bad.write_bytes(b"caf\xe9")
    kept = tmp_path / "out" / "scores"
    kept.parent.mkdir()
    kept.write_text("from before")
    words = (lines, bad, "--format", form, "--overwrite", "--output", kept)
    score(trained, *words, code=2)
    assert "later.txt is not UTF-8" in capfd.readouterr().err
    assert kept.read_text() == "from before" and os.listdir(kept.parent) == ["scores"]


def test_a_file_is_replaced_on_request_only_and_never_one_that_is_scored(
    lines, trained, tmp_path, capfd
):
    before = lines.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(lines)
    (tmp_path / "scores.jsonl").write_text("from before")
    score(trained, lines, "--output", tmp_path / "scores.jsonl", code=2)
    assert "scores.jsonl is there already" in capfd.readouterr().err
    for output in (lines, lines.parent / "." / lines.name, tmp_path / "link.jsonl"):
        score(trained, lines, "--overwrite", "--output", output, code=2)
        assert "which this command reads" in capfd.readouterr().err
    assert lines.read_bytes() == before
    score(trained, lines, "--overwrite", "--output", tmp_path / "scores.jsonl")
    assert "nats" in json.loads((tmp_path / "scores.jsonl").read_text())


@pytest.mark.slow
def test_a_closed_pipe_ends_in_one_error_line(trained):
    """There is more to write than a pipe holds."""
    root = os.path.dirname(os.path.dirname(primer.__file__))
    words = ["score", "--model_dir", trained, "--split", "train", "--tokens"]
    with subprocess.Popen(
        [sys.executable, "-m", "primer", *map(str, words)],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.read(10) == b'{"source":'
        process.stdout.close()
        error = process.stderr.read().decode()
    assert process.returncode == 1 and "standard output was closed" in error
    assert "Traceback" not in error and "Exception" not in error


@pytest.mark.parametrize(
    "words, messages",
    [
        ([], ["takes files, or --split", "there is neither"]),
        (["FILE", "--split", "validation"], ["not both"]),
        (["FILE", "--task", "sotu"], ["--task goes with --split"]),
        (["nowhere.txt"], ["nowhere.txt", "matches no file"]),
        (["FILE.md"], ["lines.txt.md", ".jsonl", ".parquet"]),
        (["FILE", "--unit", "word"], ["--unit", "'word'", "file or line"]),
        (["FILE", "--format", "xml"], ["--format", "'xml'", "jsonl or parquet"]),
        (["FILE", "--format", "parquet"], ["--output"]),
        (["FILE", "--output", "."], ["--output", "is a folder"]),
        (["FILE", "--output", "/proc/no/x"], ["/proc/no/x", "cannot be written"]),
        (["FILE", "--checkpoint", "7"], ["no checkpoint of step 7", "3, 6"]),
        (["FILE", "--protocol", "as_released"], ["as_released", "not documents"]),
        (["FILE", "--protocol", "sliding"], ["--stride"]),
        (["FILE", "--protocol", "sliding", "--stride", "33"], ["stride = 33", "32 tokens"]),
        (["FILE", "--protocol", "packd"], ["packd", "stream"]),
        (["--split", "test"], ["no split 'test'"]),
        (["--split", "validation", "--task", "sotuu"], ["sotuu"]),
        (["FILE", "--batch_size", "0"], ["batch size 0"]),
        (
            ["--split", "validation", "--task", "words_of_sotu"],
            ["words_of_sotu", "another vocabulary", "task_vocabulary.name"],
        ),
    ],
)
def test_invalid_options_are_one_error_line_before_the_model_is_built(
    words, messages, lines, trained, capfd
):
    if "words_of_sotu" in words:
        _register_a_task_of_another_vocabulary()
    lines.with_name("lines.txt.md").write_text("A text.")
    words = [word.replace("FILE", str(lines)) for word in words]
    score(trained, *words, code=2)
    error = capfd.readouterr().err
    (line,) = [line for line in error.splitlines() if line.startswith("primer: ")]
    assert all(message in line for message in messages) and "Traceback" not in error


def _register_a_task_of_another_vocabulary():
    sotu = seqio.TaskRegistry.get("sotu")
    vocabulary = seqio.SentencePieceVocabulary(SOTU_MODEL, 0)
    features = {"targets": seqio.Feature(vocabulary)}
    seqio.TaskRegistry.remove("words_of_sotu")
    seqio.TaskRegistry.add("words_of_sotu", sotu.source, features, list(sotu.preprocessors))


def test_files_of_no_document_are_refused(tmp_path, trained, capfd):
    (tmp_path / "blank.txt").write_text(" \n\n")
    score(trained, tmp_path / "blank.txt", "--output", tmp_path / "out.jsonl", code=2)
    assert "no document" in capfd.readouterr().err and not (tmp_path / "out.jsonl").exists()


@pytest.mark.slow
def test_the_printed_command_runs_in_a_shell(lines, trained, capsys):
    assert run("score", "--model_dir", trained, lines, "--unit", "line") == 0
    printed = capsys.readouterr()
    command = printed.err[printed.err.index("t5_mesh_transformer") :].split("\n\n")[0]
    root = os.path.dirname(os.path.dirname(primer.__file__))
    engine = f"{shlex.quote(sys.executable)} -c {shlex.quote(ENGINE)}"
    done = subprocess.run(
        command.replace("t5_mesh_transformer", engine, 1),
        shell=True,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == printed.out
    assert "score" in cli.COMMANDS
