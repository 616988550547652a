"""The servers of the tests end with them, also where nobody is left to end them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What a child process runs to be killed.
CHILD = """
import json, time
from tests.postgresql._standby import replicated
with replicated() as pair:
    found = [[one.port, str(one.directory)] for one in (pair.primary, pair.standby)]
    print(json.dumps(found), flush=True)
    time.sleep(60)
"""


def is_there(port: int, directory: str) -> bool:
    """Say whether a server listens, or has left its folder behind."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0 or Path(directory).exists()


def test_both_servers_end_with_a_process_that_is_killed() -> None:
    """A watchdog of each ends it, and removes its folder."""
    with subprocess.Popen(
        [sys.executable, "-c", CHILD], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        servers = json.loads(child.stdout.readline())
        before = [is_there(*server) for server in servers]
        child.kill()
    deadline = time.monotonic() + 10
    while any(is_there(*server) for server in servers) and time.monotonic() < deadline:
        time.sleep(0.01)
    after = [is_there(*server) for server in servers]
    assert ([True, True], [False, False]) == (before, after)
