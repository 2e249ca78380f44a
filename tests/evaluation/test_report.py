"""The tables on the terminal."""

import io
import math

import pytest

from primer.errors import UsageError
from primer.evaluation import report
from primer.evaluation.totals import Totals

WHAT = {"how": "how it was cut", "text_checksum": "c0ffee", "split": "test", "protocol": "stream"}


def row(step, nats, model_dir="runs/a", documents=2, size=400):
    totals = Totals(nats, 100, size, 80, documents)
    return {"step": step, **totals.as_dict(), **WHAT, "model_dir": model_dir}


ROWS = [row(1000, 900.0), row(2000, 500.0), row(3000, math.nan)]


def cells(text):
    """First cell -> line, of the rows of the tables in a text."""
    return {line.split("│")[1].strip(): line for line in text.splitlines() if "│" in line}


def shown(rows):
    out = io.StringIO()
    report.print_checkpoints("title", rows, file=out)
    return out.getvalue()


def compared(rows):
    out = io.StringIO()
    report.print_comparison(rows, file=out)
    return out.getvalue()


def test_the_table_has_a_line_per_checkpoint_and_marks_the_best():
    text = shown(ROWS)
    assert text.startswith("title\n") and report.BEST in text
    assert "how it was cut Over 100 tokens, 400 bytes, 80 words, 2 documents" in text
    found = cells(text)
    assert set(found) == {"1,000", "2,000 *", "3,000"}
    assert "5.0000" in found["2,000 *"] and "148.41" in found["2,000 *"]
    assert f"{500 / math.log(2) / 400:.4f}" in found["2,000 *"]


def test_the_heads_are_whole_in_a_file():
    """With all columns the table is wider than the lines of text."""
    full = {"training_flops": 2e10, "standard_error": 0.1, "accuracy": 0.5}
    full["bits_per_character"] = 1.0
    many = [row(step, 500.0, name) | full for step, name in ((1000, "a"), (2000, "b" * 40))]
    for text in (shown(many), compared(many)):
        heads = [line for line in text.splitlines() if line.startswith("┃")]
        assert all(word in " ".join(heads) for word in ("training", "character", "per byte"))
        assert "…" not in text
        assert max(len(line) for line in text.splitlines() if "how it was cut" in line) <= 100


def test_a_single_checkpoint_is_not_called_the_best():
    text = shown(ROWS[:1])
    assert set(cells(text)) == {"1,000"} and report.BEST not in text


def test_counts_are_named_in_singular_and_plural():
    one = row(1, 9.0, documents=1)
    assert "80 words, 1 document;" in report.describe_counts(one)
    assert "80 words, 1 row;" in report.describe_counts({**one, "protocol": "as_released"})
    assert "2 rows;" in report.describe_counts({**row(1, 9.0), "protocol": "as_released"})


def test_what_the_vocabulary_does_not_give_back_is_said():
    counts = {"changed_documents": 3, "changed_bytes": 1200, "unknown_tokens": 7}
    said = report.describe_counts(row(1, 9.0) | counts)
    assert (
        "3 of which, 1,200 bytes, the vocabulary does not give back: 7 tokens are unknown" in said
    )
    said = report.describe_counts(row(1, 9.0) | dict.fromkeys(counts, 0))
    assert said == report.describe_counts(row(1, 9.0))


def test_missing_units_are_shown_as_a_dash():
    text = shown([{**ROWS[0], "bits_per_byte": math.nan, "bytes": math.nan}])
    assert "bytes" not in text and " - " in cells(text)["1,000"]


def test_the_best_of_each_directory_is_compared():
    rows = [*ROWS, row(10, 450.0, "runs/b"), row(20, 470.0, "runs/b")]
    text = compared(rows)
    found = cells(text)
    assert set(found) == {"a", "b"}
    assert "2,000 " in found["a"] and "10 *" in found["b"]
    assert "a, b: how it was cut Over 100 tokens" in text


def test_numbers_of_different_texts_are_said_not_to_be_comparable():
    text = compared([ROWS[0], row(1, 450.0, "runs/b", size=399)])
    assert "Not to be compared: the texts have 400 and 399 bytes" in text
    assert "*" not in text


@pytest.mark.parametrize("key, value", [("split", "train"), ("protocol", "packed")])
def test_numbers_of_different_protocols_are_said_not_to_be_comparable(key, value):
    other = {**row(1, 450.0, "runs/b"), key: value}
    assert f"the {key} is {WHAT[key]} and {value}" in compared([ROWS[0], other])


def test_other_tokens_without_a_text_are_not_compared():
    """Then no count shows that the texts are the same, nor has a unit a common denominator."""
    rows = [row(1, 450.0, name, size=math.nan) for name in ("runs/a", "runs/b")]
    for one in rows:
        one |= dict.fromkeys(report.TEXT_COUNTS, math.nan)
    assert report.find_difference(rows) is None
    rows[1]["text_checksum"] = "decade"
    assert "the tokens differ (checksums c0ffee and decade)" in compared(rows)


def test_errors_of_single_losses_do_not_stand_beside_a_comparison():
    rows = [{**one, "standard_error": 0.1234} for one in (ROWS[0], row(1, 450.0, "runs/b"))]
    assert "0.1234" in shown(rows[:1]) and "0.1234" not in compared(rows)
    assert report.ERRORS in shown(rows) and report.ERRORS not in shown(rows[:1])
    assert report.ERRORS not in shown(ROWS)  # They have none.


def test_names_tell_directories_apart():
    assert report.short_names(["/x/a/run", "/x/b/run/"]) == ["a/run", "b/run"]
    assert report.short_names(["/x/a", "/y/b"]) == ["a", "b"]


def test_no_finite_row_is_the_best():
    assert report.best_row(ROWS[2:]) is None


def order_of_steps(text):
    return [line.split("│")[1].strip(" *") for line in text.splitlines() if "│" in line]


@pytest.mark.parametrize(
    "order_by, steps",
    [("step", ["1,000", "2,000", "3,000"]), ("loss", ["2,000", "1,000", "3,000"])],
)
def test_checkpoints_are_ordered(order_by, steps):
    out = io.StringIO()
    report.print_checkpoints("title", ROWS, file=out, order_by=order_by)
    assert order_of_steps(out.getvalue()) == steps


def test_models_are_ordered_by_the_flops_of_their_training():
    """A row of an earlier version has none, and is the last."""
    flops = {"runs/a": 3 * 10**15, "runs/b": 1.5e15, "runs/d": 2 * 10**15}
    rows = [row(1, 450.0, name) | {"training_flops": n} for name, n in flops.items()]
    rows.insert(1, row(1, 450.0, "runs/c"))
    assert order_of_steps(compared(rows)) == ["a", "c", "b", "d"]
    out = io.StringIO()
    report.print_comparison(rows, file=out, order_by="flops")
    assert order_of_steps(out.getvalue()) == ["b", "d", "a", "c"]
    assert "3.00e+15" in cells(out.getvalue())["a"] and " - " in cells(out.getvalue())["c"]


def test_an_unknown_order_is_an_error():
    with pytest.raises(UsageError, match="order_by = 'size': expected one of step, loss, flops"):
        report.ordered(ROWS, "size")
