"""End a server and remove its folder where the process that began it is killed.

This file is a module and a program. The program runs without site-packages, in a
process of its own: the file imports the standard library alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

IMMEDIATE_SECONDS = 10.0  # the server itself kills a stuck backend after 5 seconds


@contextmanager
def watchdog(directory: Path) -> Generator[int]:
    """Guard the folder and lend the process group that ends with it.

    The group is the watchdog's own: the terminal's Ctrl-C does not reach it, and a
    program is in it from its first instruction, before anyone could write its pid
    down.
    """
    with subprocess.Popen(  # noqa: S603 - this file, in this interpreter
        [sys.executable, "-I", "-S", __file__, f"{directory}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as process:
        try:
            yield process.pid
        finally:
            # A word and not the end of the pipe, which a forked process may hold open.
            process.communicate(b".")


def poll(condition: Callable[[], bool], deadline: float) -> None:
    """Return when the condition holds, or when the time is over."""
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def _watch(directory: Path) -> None:  # pragma: no cover - runs in its own process
    """Wait until the parent is done or dead, then end the group and the folder."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.read(0, 1)
    os.killpg(0, signal.SIGCONT)
    os.killpg(0, signal.SIGQUIT)  # immediate: nobody is left to want the data
    poll(lambda: not _is_running(directory), time.monotonic() + IMMEDIATE_SECONDS)

    def removed() -> bool:  # an ending initdb may write while its folder goes
        shutil.rmtree(directory, ignore_errors=True)
        return not directory.exists()

    poll(removed, time.monotonic() + IMMEDIATE_SECONDS)


def _is_running(directory: Path) -> bool:  # pragma: no cover - only in _watch()
    """Say whether the server lives; one that was killed leaves its pid behind."""
    try:
        lines = (directory / "data" / "postmaster.pid").read_text().splitlines()
        os.kill(int(lines[0]), 0)
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return False
    return True


if __name__ == "__main__":  # pragma: no cover - runs in its own process
    _watch(Path(sys.argv[1]))
