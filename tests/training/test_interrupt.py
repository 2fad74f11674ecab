"""Signals as requests; asked twice, the process stops at once."""

import os
import signal
import threading

import pytest

from seqexp_tf.training.interrupt import StopRequest


def test_the_first_signal_is_a_request():
    stop = StopRequest()
    with stop.listen():
        assert stop.signal is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with pytest.raises(SystemExit) as stopped:
        stop.obey()
    assert stopped.value.code == 143


@pytest.fixture
def interruptible():
    # Ignored in processes that a shell began in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_second_stops_at_once(interruptible):
    stop = StopRequest()
    with pytest.raises(KeyboardInterrupt), stop.listen():
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("still here")
    with pytest.raises(KeyboardInterrupt):
        stop.obey()


def test_in_another_thread_signals_are_left_alone():
    seen = []

    def listen():
        with StopRequest().listen():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
