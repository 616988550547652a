"""Programs that fork, that forget to dispose, that are interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = 20
# A job in the background is started deaf to it, and its children are.
_HEARS_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def run(program: str, file: Path) -> tuple[int, str, str]:
    """Run a program on a database file; return its exit, its words and its errors."""
    done = subprocess.run(
        _command(program, file),
        capture_output=True,
        check=False,
        text=True,
        timeout=_SECONDS,
    )
    return done.returncode, done.stdout, done.stderr


def interrupt(program: str, file: Path) -> tuple[int, str, str]:
    """Run a program and press Ctrl-C when it has said its first line."""
    with subprocess.Popen(
        _command(_HEARS_CTRL_C + program, file),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        try:
            rest, errors = process.communicate(timeout=_SECONDS)
        finally:
            process.kill()
        return process.returncode, first + rest, errors


def _command(program: str, file: Path) -> list[str]:
    # From 3.12 on Python warns of every fork beside a thread.
    words = [sys.executable, "-W", "ignore::DeprecationWarning"]
    return [*words, "-c", program, str(file)]
