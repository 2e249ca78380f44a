"""Signals that end training after the current step."""

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
