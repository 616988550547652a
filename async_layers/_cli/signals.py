"""Leave by Ctrl-C and SIGTERM as by an exception, so that every block is left."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Never

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# A terminal that is closed sends the last one, which Windows does not have.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


class Stopped(SystemExit):
    """A signal ended the program; its code is the shell's, 128 and the number."""


def _stop(number: int, _: FrameType | None) -> Never:
    raise Stopped(128 + number)


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise `Stopped` in the block when a signal asks for the end.

    KeyboardInterrupt would not do: asyncio.run() turns it into the cancellation
    of a task, which a fact about cancellation catches. A signal that the caller
    ignores is left ignored.
    """
    known = {number: signal.getsignal(number) for number in _SIGNALS}
    if threading.current_thread() is not threading.main_thread():
        known.clear()  # signals are the main thread's
    taken = {n: one for n, one in known.items() if one not in {None, signal.SIG_IGN}}
    for number in taken:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


def deafen() -> None:
    """Ignore both signals until the innermost `stoppable` block is left.

    What is made in a database is removed to the end; that is bounded in time.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is _stop:
            signal.signal(number, signal.SIG_IGN)
