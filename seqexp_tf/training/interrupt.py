"""SIGTERM and SIGINT as a request that the training loop answers when it can."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Whether the process was asked to stop: by a scheduler, or by Ctrl-C.

    Attributes:
        signal: what asked first; None so far.
    """

    def __init__(self):
        self.signal: signal.Signals | None = None
        self._before = {}

    @contextlib.contextmanager
    def listen(self) -> Iterator[None]:
        """Takes signals as requests; asked a second time, the process stops at once.

        Python delivers signals to the main thread; in another one nothing changes.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._before = {kind: signal.signal(kind, self._ask) for kind in _SIGNALS}
        try:
            yield
        finally:
            self._restore()

    def obey(self) -> NoReturn:
        """Ends the process as its signal would, but through ``finally`` clauses.

        Raises:
            KeyboardInterrupt: for SIGINT.
            SystemExit: for SIGTERM, with code 143, as the shell knows it.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + self.signal)

    def _ask(self, number, frame) -> None:
        if self.signal is not None:
            self._restore()
            os.kill(os.getpid(), number)
            return
        self.signal = signal.Signals(number)

    def _restore(self) -> None:
        for kind, handler in self._before.items():
            signal.signal(kind, handler)
        self._before = {}
