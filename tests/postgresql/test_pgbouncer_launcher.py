"""The PgBouncer of the tests ends with them, however they end."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.postgresql._pgbouncer import INSTALL, pgbouncer, program

pytestmark = pytest.mark.skipif(program() is None, reason=INSTALL)

ROOT = Path(__file__).parents[2]
# What a child process runs to be killed.
CHILD = """
import sys, time
from tests.postgresql._pgbouncer import pgbouncer
with pgbouncer(sys.argv[1]) as found:
    print(found.url.port, flush=True)
    time.sleep(60)
"""


def listens(port: int) -> bool:
    """Say whether someone accepts connections on the port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def falls_silent(port: int) -> bool:
    """Wait for the end of another's child, which no event tells, and not for long."""
    deadline = time.monotonic() + 10
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not listens(port)


def test_it_ends_with_the_block(postgresql_url: str) -> None:
    """An exception ends it too."""
    port = 0
    with pytest.raises(LookupError), pgbouncer(postgresql_url) as found:
        port = found.url.port or 0
        assert listens(port)
        raise LookupError
    assert (True, False) == (port > 0, listens(port))


def test_it_ends_with_a_process_that_is_killed(postgresql_url: str) -> None:
    """A watchdog ends it where nobody is left to do so."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, postgresql_url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        before = listens(port)
        child.kill()
    assert (True, True) == (before, falls_silent(port))
