"""Work in a thread: its end, its error."""

import threading

import pytest

from primer.runtime.training.saving.background import Background


def test_work_goes_on_until_it_is_waited_for():
    gate, done = threading.Event(), []
    work = Background()
    assert not work.has_ended()
    work.start(lambda: (gate.wait(), done.append(1)))
    assert not work.has_ended()
    gate.set()
    work.wait()
    assert done == [1]
    work.wait()  # Nothing is under way.


def test_an_error_is_raised_once_where_the_work_is_waited_for():
    def fail():
        raise OSError("full")

    work = Background()
    work.start(fail)
    with pytest.raises(OSError, match="full"):
        work.wait()
    work.start(lambda: None)
    work.wait()
