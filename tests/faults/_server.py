"""A PostgreSQL server of the faults' own, which can be ended and begun anew."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from async_layers._embedded.programs import drop_root
from async_layers.embedded import embedded_postgres
from tests.faults._load import BOUND

if TYPE_CHECKING:
    from collections.abc import Iterator

    from async_layers.embedded import PostgresServer

# Few connections, so that they are soon too many.
_SETTINGS = {
    "max_connections": "30",
    "max_wal_senders": "4",
    "deadlock_timeout": "200ms",
}


class Server:
    """A running server, its processes known; it is in the group of its watchdog."""

    def __init__(self, running: PostgresServer) -> None:
        """Take the server that has been started."""
        self.url = running.url
        self._running = running
        self._group = os.getpgid(running.pid)
        self._data = running.directory / "data"
        words = (self._data / "postmaster.opts").read_text()
        self._command = [*drop_root(running.directory), *shlex.split(words)]
        self._begun: subprocess.Popen[bytes] | None = None

    def restart(self, number: signal.Signals) -> None:
        """End the server by a signal, and begin it anew; return when it answers."""
        self.stop(number)
        with self._running.log.open("ab") as log:
            self._begun = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=self._group,
            )
        _wait(self._is_ready)

    def stop(self, number: signal.Signals) -> None:
        """End the server by a signal; return when it has gone."""
        process = int((self._data / "postmaster.pid").read_text().split()[0])
        os.kill(process, number)
        _wait(lambda: not (self._data / "postmaster.pid").exists())
        if self._begun is not None:
            self._begun.wait(BOUND)

    def owner(self) -> os.stat_result:
        """Return whom the folder of the data belongs to."""
        return self._data.stat()

    def close(self) -> None:
        """End the server if it has been begun anew: the first one, who began it."""
        if self._begun is not None and self._begun.poll() is None:
            self.stop(signal.SIGINT)

    def _is_ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return [line.strip() for line in lines[7:8]] == ["ready"]


def _wait(condition: object) -> None:
    end = time.monotonic() + BOUND
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.002)


@contextmanager
def server() -> Iterator[Server]:
    """Lend a server for as many faults as come."""
    with embedded_postgres(settings=_SETTINGS) as running:
        found = Server(running)
        try:
            yield found
        finally:
            found.close()
