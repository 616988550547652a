"""What becomes of open connections when a process forks, and when it ends."""

from __future__ import annotations

import atexit
import os
import warnings
import weakref
from typing import TYPE_CHECKING

from sqlalchemy.exc import SAWarning

if TYPE_CHECKING:
    from threading import Thread

    from async_layers.drivers._sqlite.control import Control

# The open connections, each with the thread that it has under asyncio.
_open = weakref.WeakKeyDictionary["Control", "Thread | None"]()
_inherited: list[Control] = []


def watch(control: Control, thread: Thread | None = None) -> None:
    """Remember an open connection for as long as it is in use."""
    _open[control] = thread


def unwatch(control: Control) -> None:
    """Forget a connection that is closed."""
    _open.pop(control, None)


def _mark_inherited() -> None:  # pragma: no cover - only in a child process
    """Refuse, in a child process, what its parent opened, and never close it.

    Source: https://sqlite.org/howtocorrupt.html, 2.6, "Carrying an open database
    connection across a fork()".
    """
    for control in list(_open):
        control.inherited = control.refuses = True
        _inherited.append(control)
    _open.clear()


def _warn_at_exit() -> None:  # pragma: no cover - when coverage is over
    """Name the engines that were forgotten; their threads do not keep the process."""
    forgotten = {control.engine for control, thread in _open.items() if thread}
    for engine in sorted(forgotten):
        warnings.warn(
            f"The process ends and {engine} was not disposed of; write 'await "
            "engine.dispose()' where the engine's work ends.",
            SAWarning,
            stacklevel=1,
        )


atexit.register(_warn_at_exit)
if hasattr(os, "register_at_fork"):  # pragma: no branch - not on Windows
    os.register_at_fork(after_in_child=_mark_inherited)
