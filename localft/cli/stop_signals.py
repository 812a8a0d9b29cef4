"""Ctrl-C, SIGTERM and SIGHUP while a run trains: any saves and ends it, and a second one does not break that off."""

from __future__ import annotations

import signal
import threading
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals(AbstractContextManager["StopSignals"]):
    """Inside, each of `SIGNALS` raises KeyboardInterrupt; one that was ignored (`nohup`) stays ignored.

    Attributes:
        came: the signal that came; None: none did.
        once: further signals are ignored: what the first one started is saved.
    """

    def __init__(self) -> None:
        self.came: signal.Signals | None = None
        self.once = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            heard = [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]
            self._before = {each: signal.signal(each, self._stop) for each in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for each, before in self._before.items():
            signal.signal(each, before)

    @property
    def exit_status(self) -> int:
        """As a shell has it of a program that a signal ended."""
        return 128 + (self.came or signal.SIGINT)

    def _stop(self, number: int, _: FrameType | None) -> None:
        if self.came and self.once:
            return
        self.came = signal.Signals(number)
        raise KeyboardInterrupt
