"""When a progress line is shown, on a terminal and without one."""

import io
import sys
import types

import pytest

from primer.common import console, live_line


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    times = [100.0]
    monkeypatch.setattr(live_line.time, "monotonic", lambda: times[0])

    def advance(seconds):
        times[0] += seconds

    return advance


def show(monkeypatch, stream):
    monkeypatch.setattr(console, "terminal", lambda: stream)
    return stream


def test_without_a_terminal_lines_are_rare(monkeypatch, clock):
    stream = show(monkeypatch, io.StringIO())
    due = []
    with live_line.LiveLine() as line:
        for step in range(7):
            clock(10)
            due.append(line.is_due())
            if due[-1]:
                line.show(f"step {step}")
        assert line.seconds == 70
    # At 30 and 60 seconds.
    assert due == [False, False, True, False, False, True, False]
    assert stream.getvalue() == "step 2\nstep 5\n"


def test_standard_error_is_not_shown_above_a_line(monkeypatch):
    """Logs of gin and TensorFlow are captured there, and are no messages."""
    stream, errors = show(monkeypatch, Terminal()), io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    with live_line.LiveLine() as line:
        line.show("step 1")
        print("ERROR:root:Path not found: defaults.gin", file=sys.stderr)
    assert "Path not found" in errors.getvalue() and "Path not found" not in stream.getvalue()


def test_the_last_line_is_always_due(monkeypatch, clock):
    show(monkeypatch, io.StringIO())
    with live_line.LiveLine() as line:
        assert not line.is_due() and line.is_due(last=True)


def test_nothing_is_due_where_only_terminals_have_lines(monkeypatch, clock):
    show(monkeypatch, io.StringIO())
    with live_line.LiveLine(plain=False) as line:
        clock(1000)
        assert not line.is_due() and not line.is_due(last=True)


@pytest.mark.parametrize("transient", [True, False])
def test_a_terminal_has_four_lines_a_second(monkeypatch, transient):
    times = iter([100.0, 100.2, 100.3])
    stream = show(monkeypatch, Terminal())
    with live_line.LiveLine(transient=transient) as line:
        monkeypatch.setattr(line, "_shown", 100.0)
        # In place of the module, whose clock rich reads too.
        clock = types.SimpleNamespace(monotonic=lambda: next(times))
        monkeypatch.setattr(live_line, "time", clock)
        assert [line.is_due() for _ in range(3)] == [False, False, True]
        line.show("one line")
        line.say("a message [0]")
    written = stream.getvalue()
    assert "one line" in written and "a message [0]\n" in written.replace("\r", "")
    # rich erases a transient line at the end.
    assert written.rstrip().endswith("\x1b[2K") is transient


def test_a_hidden_line_leaves_the_terminal_to_others(monkeypatch, clock):
    stream = show(monkeypatch, Terminal())
    with live_line.LiveLine() as line:
        line.show("step 1")
        with line.hidden():
            before = len(stream.getvalue())
            line.say("validation")
            assert stream.getvalue()[before:] == "validation\n"
        line.show("step 2")
    assert "step" in stream.getvalue()[before:]


def test_without_a_terminal_nothing_is_hidden(monkeypatch, clock):
    stream = show(monkeypatch, io.StringIO())
    with live_line.LiveLine() as line, line.hidden():
        line.say("validation")
    assert stream.getvalue() == "validation\n"
