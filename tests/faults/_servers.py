"""Faults of a PostgreSQL server, its processes, its limits and its disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from tests.faults._ground import UnavailableError, becomes
from tests.faults._load import BOUND
from tests.faults._network import HELD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults._ground import Scene


MANY: Final = "generate_series(1, 1000)"  # pages, more than the small disk has


def end_idle(scene: Scene) -> int:
    """End the backends while all are idle, in the pool."""
    with scene.load.paused():
        _end(scene, scene.backends())
    return 1


def end_in_query(scene: Scene) -> int:
    """End the backends while each waits for a lock."""
    with scene.eye.connect() as connection:
        raw = connection.execution_options(isolation_level="READ COMMITTED")
        with raw.begin():
            raw.execute(text(f"LOCK TABLE {scene.bank.schema}.account"))
            waiting = "wait_event_type = 'Lock'"
            assert becomes(lambda: len(scene.backends(waiting)) == scene.workers)
            _end(scene, scene.backends())
    return 1


def _end(scene: Scene, backends: list[int]) -> None:
    for one in backends:
        scene.ask("SELECT pg_terminate_backend(:one)", one=one)
    assert becomes(lambda: not set(backends) & set(scene.backends()))


@contextmanager
def ending_all(scene: Scene) -> Iterator[None]:
    """Wait, after a block that ends all backends, until the server answers again."""
    with scene.eye.connect() as connection:
        yield
        assert becomes(
            lambda: not _answers(lambda: connection.scalar(text("SELECT 1")))
        )
    assert becomes(lambda: _answers(scene.connections), BOUND)


def _answers(ask: object) -> bool:
    try:
        ask()  # type: ignore[operator]
    except DBAPIError:
        return False
    return True


def kill(scene: Scene) -> int:
    """Kill a backend: the server ends all others, and recovers."""
    with ending_all(scene):
        os.kill(scene.backends()[0], signal.SIGKILL)
    return 1


def stop(scene: Scene) -> int:
    """Stop a backend until somebody is stuck, and have it go on."""
    backend = scene.backends()[0]
    os.kill(backend, signal.SIGSTOP)
    try:
        scene.felt(lambda: scene.book.stuck(1, HELD))
    finally:
        os.kill(backend, signal.SIGCONT)
    return 1


def stop_until_deadlines(scene: Scene) -> int:
    """Stop all backends until each worker has waited for too long."""
    began = time.monotonic()
    backends = scene.backends()
    for one in backends:
        os.kill(one, signal.SIGSTOP)
    try:
        scene.felt(lambda: scene.book.failed(scene.workers, began))
    finally:
        for one in backends:
            os.kill(one, signal.SIGCONT)
    return 1


def restart_fast(scene: Scene) -> int:
    """Restart the server, which ends sessions and says so."""
    scene.own.restart(signal.SIGINT)
    return 1


def restart_immediately(scene: Scene) -> int:
    """Restart the server, which recovers from its log then."""
    scene.own.restart(signal.SIGQUIT)
    return 1


def take_all_connections(scene: Scene) -> int:
    """Take all connections that the server has, until each worker has been refused."""
    url = scene.ground.url.set(drivername="postgresql+psycopg")
    other = create_engine(url, poolclass=NullPool)
    with ExitStack() as stack:
        with scene.load.paused():
            _end(scene, scene.backends())
            began = time.monotonic()
            while True:
                try:
                    stack.enter_context(other.connect())
                except OperationalError:
                    break
        scene.felt(lambda: scene.book.failed(scene.workers, began, 2))
    return 1


def limit_temporary_files(scene: Scene) -> int:
    """Let the server spill nothing to its disk, until each worker has wanted it."""
    began = time.monotonic()
    for setting in ("temp_file_limit = '64kB'", "work_mem = '64kB'"):
        scene.tell(f"ALTER SYSTEM SET {setting}")
    scene.tell("SELECT pg_reload_conf()")
    scene.bank.sorted = 20_000
    try:
        scene.felt(lambda: scene.book.failed(scene.workers, began))
    finally:
        scene.bank.sorted = 0
        scene.tell("ALTER SYSTEM RESET ALL")
        scene.tell("SELECT pg_reload_conf()")
    return 1


def fill_disk(scene: Scene) -> int:
    """Fill the disk that the ledger is on, until each worker has wanted to write."""
    schema, space = scene.bank.schema, f"{scene.bank.schema}_space"
    fill = f"INSERT INTO {schema}.filler SELECT repeat('x', 7000) FROM {MANY}"  # noqa: S608 - ours
    with _small_disk(scene) as place:
        scene.tell(f"CREATE TABLESPACE {space} LOCATION '{place}'")
        scene.tell(f"CREATE TABLE {schema}.filler (x text) TABLESPACE {space}")
        for table in ("filler ALTER x", "ledger ALTER note"):
            scene.tell(f"ALTER TABLE {schema}.{table} SET STORAGE PLAIN")
        scene.tell(f"ALTER TABLE {schema}.ledger SET TABLESPACE {space}")
        try:
            assert not _answers(lambda: scene.tell(fill))
            began = time.monotonic()
            scene.bank.note = "x" * 7000  # a page for each
            scene.felt(lambda: scene.book.failed(scene.workers, began))
        finally:
            scene.bank.note = ""
            scene.tell(f"DROP TABLE {schema}.filler")
            scene.tell(f"ALTER TABLE {schema}.ledger SET TABLESPACE pg_default")
            scene.tell(f"DROP TABLESPACE {space}")
    return 1


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UnavailableError(f"there is no program {name!r}")
    return found


@contextmanager
def _small_disk(scene: Scene) -> Iterator[Path]:
    """Lend a folder on a disk of 1 MB, that belongs to whom the server belongs to."""
    with tempfile.TemporaryDirectory(prefix="disk-") as name:
        place = Path(name)
        place.chmod(0o755)
        owner = scene.own.owner()
        options = f"size=1m,mode=700,uid={owner.st_uid},gid={owner.st_gid}"
        mount = [_program("mount"), "-t", "tmpfs", "-o", options, "tmpfs", name]
        if os.geteuid() != 0:
            raise UnavailableError("a small disk is mounted by root alone")
        done = subprocess.run(mount, check=False, capture_output=True)
        if done.returncode:
            raise UnavailableError(f"no disk: {done.stderr.decode().strip()}")
        try:
            yield place
        finally:
            subprocess.run([_program("umount"), name], check=True)
