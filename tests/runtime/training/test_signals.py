"""Signals that end training after the current step, and validation after a batch."""

import hashlib
import os
import signal
import threading

import pytest

from primer.runtime.training import signals


@pytest.mark.parametrize(
    "number, name", [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")], ids=str
)
def test_the_first_signal_is_a_request_and_the_second_interrupts(number, name):
    with signals.stop_on_signals() as stop_request:
        assert not stop_request.requested and stop_request.name == ""
        os.kill(os.getpid(), number)
        assert stop_request.requested and stop_request.name == name
        assert stop_request.signal == number
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
            signal.sigtimedwait([], 1)  # Gives Python the time to call the handler.


def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_the_handlers_are_restored_after_an_error():
    before = handlers()
    with pytest.raises(RuntimeError), signals.stop_on_signals() as stop_request:
        assert handlers() == [stop_request, stop_request]
        raise RuntimeError
    assert handlers() == before


def test_another_thread_installs_no_handler():
    before, found = handlers(), []

    def train():
        with signals.stop_on_signals() as stop_request:
            found.extend([stop_request.requested, handlers()])

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found == [False, before]


def send(number):
    os.kill(os.getpid(), number)
    signal.sigtimedwait([], 1)


def test_between_parts_of_work_a_request_is_raised():
    with signals.stop_on_signals() as stop_request:
        stop_request.check()
        send(signal.SIGTERM)
        with pytest.raises(signals.StopRequested):
            stop_request.check()
        with pytest.raises(signals.StopRequested), stop_request.interrupting():
            pytest.fail("work that begins after the request")


def test_work_that_only_reads_is_interrupted():
    with signals.stop_on_signals() as stop_request:
        with pytest.raises(signals.StopRequested), stop_request.interrupting():
            send(signal.SIGTERM)
        assert stop_request.requested


def test_the_handler_does_not_raise_behind_the_block():
    with signals.stop_on_signals() as stop_request:
        with stop_request.interrupting():
            pass
        send(signal.SIGINT)
        assert stop_request.name == "Ctrl-C"


def test_a_signal_is_said_while_the_main_thread_is_elsewhere():
    """As in a step of minutes: Python's handler waits for the end of a call into other code."""
    said = []

    def say(line):
        said.append((line, stop_request.requested))

    with signals.stop_on_signals(say) as stop_request:
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM))
        timer.start()
        while not stop_request.requested:  # Each call takes about a second, and ends on no signal.
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000)
        timer.join()
        send(signal.SIGWINCH)  # Of no interest.
    ((line, was_handled),) = said
    assert not was_handled
    assert line.startswith("SIGTERM: what is under way") and "checkpoint is saved" in line
    assert signal.set_wakeup_fd(-1) == -1
