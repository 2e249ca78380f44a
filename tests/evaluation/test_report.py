"""The table, and the files beside the checkpoints."""

import io
import json
import math

from primer.evaluation import report
from primer.evaluation.totals import Totals

ROWS = [
    {"step": 1000, **Totals(900.0, 100, 400, 80, 2, 390, 9.0, 0.1).as_dict()},
    {"step": 2000, **Totals(500.0, 100, 400, 80, 2, 390, 5.0, 0.1).as_dict()},
    {"step": 3000, **Totals(math.nan, 100, 400, 80, 2).as_dict()},
]


def test_the_table_has_a_line_per_checkpoint_and_marks_the_best():
    out = io.StringIO()
    report.show("title", ROWS, "how it was cut", file=out)
    lines = out.getvalue().splitlines()
    assert "title" in lines[0] and any("how it was cut" in line for line in lines)
    cells = {line.split("│")[1].strip(): line for line in lines if "│" in line}
    assert set(cells) == {"1,000", "2,000 *", "3,000"}
    assert "5.0000" in cells["2,000 *"] and "148.41" in cells["2,000 *"]
    assert f"{500 / math.log(2) / 400:.4f}" in cells["2,000 *"]


def test_json_and_tsv_say_the_same(tmp_path):
    record = {"how": "so", "checkpoints": ROWS}
    paths = report.write(str(tmp_path), "sotu_validation_stream", record)
    assert [path.rsplit("/", 2)[1:] for path in paths] == [
        ["eval", "sotu_validation_stream.json"],
        ["eval", "sotu_validation_stream.tsv"],
    ]
    with open(paths[0]) as text:
        loaded = json.loads(text.read(), parse_constant=lambda name: 1 / 0)
    assert loaded["how"] == "so"
    assert loaded["checkpoints"][2]["nats_per_token"] is None
    with open(paths[1]) as text:
        lines = [line.rstrip("\n").split("\t") for line in text]
    assert len(lines) == 4
    for row, cells in zip(ROWS[:2], lines[1:], strict=False):
        assert dict(zip(lines[0], map(float, cells), strict=True)) == row


def test_no_rows_leave_an_empty_table(tmp_path):
    paths = report.write(str(tmp_path), "x", {"checkpoints": []})
    with open(paths[1]) as text:
        assert text.read().startswith("step\tnats_per_token")
    assert report.best_row(ROWS[2:]) is None
