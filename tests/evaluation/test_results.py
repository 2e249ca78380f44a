"""Lines of results: truncated ones, equal settings, and the TSV and events made from them."""

import json
import math

import pytest

from primer.evaluation.results import Results
from primer.evaluation.totals import Totals
from tests.runtime import tiny

SETTINGS = {
    "task": "sotu",
    "split": "validation",
    "protocol": "stream",
    "window": 16,
    "text_checksum": "c0ffee",
    "counts_checksum": "fee",
    "configuration": "f00d",
    "primer": "0",
}


def row(step, nats=500.0, weights="w", **changes):
    totals = Totals(nats, 100, 400, 80, 2)
    return {"step": step, **totals.as_dict(), **SETTINGS, "weights": f"{weights}{step}", **changes}


@pytest.fixture
def directory(tmp_path):
    results = Results(str(tmp_path), "name")
    for step in (3, 1):
        results.add_row(row(step))
    results.close()
    return tmp_path


def read(directory):
    return Results(str(directory), "name")


def test_a_line_for_each_checkpoint_is_found_again(directory):
    results = read(directory)
    assert results.find_row(SETTINGS, 3, "w3") == row(3)
    assert [found["step"] for found in results.rows_with(SETTINGS)] == [1, 3]
    assert read(directory / "elsewhere").rows == []


@pytest.mark.parametrize("key", SETTINGS)
def test_another_setting_is_another_number(directory, key):
    other = {**SETTINGS, key: "another"}
    assert read(directory).find_row(other, 3, "w3") is None
    assert read(directory).rows_with(other) == []


def test_other_weights_of_the_same_step_are_another_number(directory):
    assert read(directory).find_row(SETTINGS, 3, "trained again") is None
    assert read(directory).find_row(SETTINGS, 2, "w3") is None


@pytest.mark.parametrize("cut", [1, 20])
def test_a_truncated_line_is_ignored_and_replaced(directory, cut):
    path = directory / "eval" / "name.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    results = read(directory)
    assert [found["step"] for found in results.rows] == [3]
    results.add_row(row(1, 400.0))
    results.close()
    lines = path.read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [3, 1]
    assert read(directory).find_row(SETTINGS, 1, "w1")["nats"] == 400.0


def test_an_invalid_line_is_named_and_ignored(directory, capsys):
    path = directory / "eval" / "name.jsonl"
    first, second = path.read_text().splitlines()
    path.write_text(f"{first}\nspoilt\n[1]\n{second}\n")
    assert [found["step"] for found in read(directory).rows] == [3, 1]
    error = capsys.readouterr().err
    assert "line 2 cannot be read" in error and "line 3 cannot be read" in error


def test_non_finite_numbers_are_read_back(directory):
    results = read(directory)
    results.add_row(row(4, nats=math.nan))
    results.add_row(row(5, nats=1e6))
    text = (directory / "eval" / "name.jsonl").read_text()
    for line in text.splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    spoilt, untrained = read(directory).rows[-2:]
    assert math.isnan(spoilt["nats_per_token"]) and math.isnan(spoilt["perplexity_per_word"])
    assert untrained["perplexity_per_token"] == math.inf


def test_the_later_of_two_lines_replaces_the_earlier(directory):
    results = read(directory)
    results.add_row(row(3, 444.0))
    assert read(directory).find_row(SETTINGS, 3, "w3")["nats"] == 444.0
    assert [found["nats"] for found in read(directory).rows_with(SETTINGS)] == [500.0, 444.0]


def test_the_table_has_what_the_lines_have(directory):
    with open(directory / "eval" / "name.tsv") as lines:
        header, *rows = (line.rstrip("\n").split("\t") for line in lines)
    assert [dict(zip(header, cells, strict=True))["step"] for cells in rows] == ["1", "3"]
    assert float(rows[0][header.index("bits_per_byte")]) == row(1)["bits_per_byte"]


def test_events_have_tags_of_their_own(directory):
    scalars = tiny.scalars(directory / "eval" / "name")
    assert all(tag.startswith("primer_eval/name/") for tag in scalars)
    assert scalars["primer_eval/name/nats_per_token"] == {1: 5.0, 3: 5.0}


def test_events_that_are_written_again_are_dropped(directory):
    results = read(directory)
    results.drop_events_from(3)
    results.add_row(row(3, 444.0))
    results.close()
    assert tiny.dropped_from(directory / "eval" / "name") == [3]
