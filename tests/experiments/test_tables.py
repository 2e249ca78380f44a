"""The tables of a comparison, from made-up numbers."""

import io

from primer.experiments import tables
from tests.experiments.results import BASE, result


def test_tables_hold_the_numbers():
    out = io.StringIO()
    other = result("primer", [5.0, 4.5, 3.5])
    tables.print_tables([BASE, other], ["Seen one.", "Seen two."], file=out)
    text = out.getvalue()
    for expected in ("54.6    15 s", "33.1    15 s", "3.5000", "1,234", "0.02", "- Seen two."):
        assert expected in text
    assert "Whole validation split: cut somehow." in text


def test_the_speed_is_tokens_by_seconds_and_left_out_without_time():
    timeless = result("primer", [5.0])
    timeless["checkpoints"][-1]["seconds"] = 0.0
    out = io.StringIO()
    tables.print_tables([result("transformer", [6.0]), timeless], [], file=out)
    base, other = [line.split() for line in out.getvalue().splitlines() if "1,234" in line]
    assert base[-2] == "200" and other[-2] == "-"
