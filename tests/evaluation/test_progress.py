"""Progress lines: what they count and show, and when nothing is shown."""

import pytest

from primer.evaluation.progress import Progress, TokenCounter


@pytest.fixture
def lines(monkeypatch):
    """The lines that are shown, at every call, two seconds after the beginning."""
    shown = []
    for kind in (Progress, TokenCounter):
        monkeypatch.setattr(kind, "is_due", lambda self: True)
        monkeypatch.setattr(kind, "seconds", 2.0)
        monkeypatch.setattr(kind, "show", lambda self, line: shown.append(line))
    return shown


def test_progress_shows_share_and_speed(lines):
    Progress("step 3", 8000)(0.25)
    assert lines == ["step 3  evaluating  25%  1,000 tokens/s"]


def test_a_counter_adds_up(lines):
    counter = TokenCounter("step 3")
    counter.add(1500)
    counter.add(500)
    assert counter.tokens == 2000
    assert lines[-1] == "step 3  scored 2,000 tokens, 1,000 tokens/s"


def test_nothing_is_shown_without_a_terminal(capfd):
    with Progress("step 3", 10) as progress, TokenCounter("step 3") as counter:
        for share in (0.5, 1.0):
            progress(share)
            counter.add(5)
    printed = capfd.readouterr()
    assert printed.out == printed.err == "" and counter.tokens == 10
