"""The table of differences on the terminal."""

import io

from primer.evaluation.paired import difference_table
from tests.evaluation.paired.two_models import evaluated, losses, text_of

TEXT = text_of(range(1, 30))


def shown(rows, baseline=None):
    out = io.StringIO()
    difference_table.print_differences(rows, baseline, out)
    return out.getvalue()


def cells(text):
    """First cell -> the others, of the rows of the table in a text."""
    lines = [line.split("│")[1:-1] for line in text.splitlines() if "│" in line]
    return {first.strip(): [cell.strip() for cell in rest] for first, *rest in lines}


def row(folder, name, seed=1, text=TEXT, shift=0.0, **changes):
    return evaluated(folder / name, text, losses(text, seed, shift), **changes)


def test_each_model_is_compared_with_the_first(tmp_path):
    rows = [row(tmp_path, "a"), row(tmp_path, "b", 2, shift=-0.5), row(tmp_path, "c", 3)]
    text = shown(rows)
    assert "Differences from a (negative: a lower loss than that of a)" in text
    found = cells(text)
    assert list(found) == ["b", "c"]
    value, error, interval, ratio = found["b"]
    assert value == f"{rows[1]['nats_per_token'] - rows[0]['nats_per_token']:+.4f}"
    low, high = map(float, interval.split(" to "))
    assert low < float(value) < high < 0 < float(error) and float(ratio) < -4
    assert "paired over 29 documents" in text and "another seed" in text


def test_a_baseline_is_named_by_its_directory(tmp_path):
    rows = [row(tmp_path, "a"), row(tmp_path, "b", 2)]
    assert list(cells(shown(rows, f"{tmp_path}/x/../b/"))) == ["a"]
    assert "No differences: the baseline c has no result" in shown(rows, "c")


def test_the_best_checkpoint_of_each_is_compared(tmp_path):
    rows = [row(tmp_path, "a"), row(tmp_path, "a", 2, shift=9, step=2), row(tmp_path, "b")]
    assert cells(shown(rows))["b"][0] == "+0.0000"


def test_other_texts_and_protocols_are_left_out(tmp_path):
    base = row(tmp_path, "a")
    others = [row(tmp_path, "b", text=text_of([5, 9])), row(tmp_path, "c", protocol="packed")]
    assert shown([base, *others]) == ""
    assert list(cells(shown([base, *others, row(tmp_path, "d")]))) == ["d"]


def test_other_vocabularies_are_compared_in_bits_per_byte(tmp_path):
    other = text_of(range(1, 30), 3, vocabulary=10)
    text = shown([row(tmp_path, "a"), row(tmp_path, "b", text=other)])
    assert "per byte" in text and difference_table.OTHER_VOCABULARIES in text


def test_no_error_is_a_dash_with_its_reason(tmp_path):
    single = text_of([30])
    text = shown([row(tmp_path, "a", text=single), row(tmp_path, "b", 2, single)])
    assert cells(text)["b"][1:] == ["-", "-", "-"]
    assert "b: no standard error: the text is one document." in text
    assert "paired over" not in text
