"""The tables of the data commands, and what is printed below them."""

import io
import types

import pytest

from primer.commands.data import tables


def printed(table, **options):
    out = io.StringIO()
    tables.make_terminal(out, **options).print(table)
    return out.getvalue()


def test_tables_fold_long_cells_and_show_markup_as_text():
    table = tables.make_table("Title [b]", "name", "number")
    table.add_row("[red]" + "x" * 150, "1,000")
    text = printed(table)
    assert max(map(len, text.splitlines())) <= tables.WIDTH
    assert text.count("x") == 150 and "[red]" in text and "1,000" in text
    assert text.splitlines()[0].strip() == "Title [b]"


def test_the_width_of_a_file_is_a_parameter():
    table = tables.make_table(None, "name")
    table.add_row("x" * 60)
    assert max(map(len, printed(table, width=40).splitlines())) <= 40


@pytest.fixture
def manifest():
    names = ("examples", "tokens", "words", "characters", "bytes")
    return {
        "splits": {
            "train": dict(zip(names, (3, 500, 400, 1800, 2000))),
            "validation": dict.fromkeys(names, 0),
        },
        "settings": {"vocabulary": "bytes, 259 ids", "order": {"seed": 3}},
        "not_utf8": {"a.txt": 2},
        "empty": 4,
        "shards": [
            {"splits": {"train": {"left_out_tokens": 5}}, "windows": 1},
            {"splits": {"train": {}}, "windows": 0},
        ],
    }


@pytest.mark.parametrize(
    "format, written, lines",
    [
        ("seqio", True, ["primer train --data out/text "]),
        ("seqio", False, ["out/text was already complete"]),
        ("gpt_neo", True, ["--task gpt_neo_records ", "/out/text/train_*'"]),
    ],
)
def test_prepared_data_are_summarized(manifest, format, written, lines, capsys):
    out = io.StringIO()
    plan = types.SimpleNamespace(output="out", task="text", format=format)
    tables.show_prepared(plan, manifest, written, out)
    train, validation = [line.split() for line in out.getvalue().splitlines() if "0" in line]
    assert train == ["train", "3", "500", "400", "1,800", "2,000", "0.2500"]
    assert validation == ["validation", "0", "0", "0", "0", "0", "0.0000"]
    said = capsys.readouterr().err
    assert "Vocabulary: bytes, 259 ids" in said and "2 documents that are not UTF-8" in said
    assert "Left out 4 empty documents" in said and "Left out 5 tokens" in said
    assert all(line in said for line in lines)
    assert "Order: random (seed 3); each of 2 shards samples the whole input\n" in said
    manifest["shards"][0]["windows"] = 2
    tables.show_prepared(plan, manifest, written, out)
    assert "the whole input, shuffled in windows of 256 MiB" in capsys.readouterr().err


def test_nothing_is_said_when_nothing_was_left_out(capsys):
    tables.say_skipped({}, 0)
    assert capsys.readouterr().err == ""
