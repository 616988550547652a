"""What is left of a process that is killed in the middle of its commits."""

from __future__ import annotations

import os
import signal
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from sqlalchemy import event

from async_layers import async_engine_scope, engine_scope
from tests.sqlite._dialects import OURS
from tests.sqlite._hostile import (
    ADD,
    IDS,
    async_engine_in,
    engine_in,
    is_sound,
    made,
)
from tests.sqlite._processes import started

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

# All of them keep what is committed when a process is killed; when the power fails,
# only WAL and FULL. Source: https://sqlite.org/pragma.html#pragma_synchronous.
SETTINGS = [("WAL", "FULL"), ("WAL", "NORMAL"), ("DELETE", "FULL")]
COMMITS = 100  # after which the process is killed, while it goes on


def synchronize(engine: Engine, mode: str) -> None:
    """Tell each connection how soon its commits have to be on the disk."""

    def connect(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA synchronous = {mode}")
        cursor.close()

    event.listen(engine, "connect", connect)


def killer() -> Event:
    """Return an event at which this process is killed, wherever it is by then."""
    enough = Event()

    def kill() -> None:
        enough.wait()
        os.kill(os.getpid(), signal.SIGKILL)

    Thread(target=kill, daemon=True).start()
    return enough


def acknowledge(id_: int, enough: Event) -> None:
    """Tell the parent process of a commit, at once."""
    os.write(1, b"%d\n" % id_)
    if id_ == COMMITS:
        enough.set()


def commit(journal: str, mode: str, path: str) -> None:
    """Commit row after row until the process is killed."""
    enough = killer()
    with engine_in(journal, OURS, Path(path)) as engine:
        synchronize(engine, mode)
        for id_ in count(1):
            with engine.begin() as connection:
                connection.execute(ADD, {"id": id_})
            acknowledge(id_, enough)


async def async_commit(journal: str, mode: str, path: str) -> None:
    """Commit row after row until the process is killed."""
    enough = killer()
    async with async_engine_in(journal, OURS, Path(path)) as engine:
        synchronize(engine.sync_engine, mode)
        for id_ in count(1):
            async with engine.begin() as connection:
                await connection.execute(ADD, {"id": id_})
            acknowledge(id_, enough)


class Killed(NamedTuple):
    """The file of a process that was killed, and how many rows it was told of."""

    file: Path
    told: int


@pytest.fixture(scope="module", params=[commit, async_commit])
def commits(request: pytest.FixtureRequest) -> Callable[[str, str, str], object]:
    """Return what commits, in each world."""
    found: Callable[[str, str, str], object] = request.param
    return found


@pytest.fixture(scope="module", params=SETTINGS, ids="-".join)
def killed(
    commits: Callable[[str, str, str], object],
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Killed:
    """Let a process commit and be killed."""
    journal, mode = request.param
    file = made(tmp_path_factory.mktemp("killed"), journal)
    with started(commits, journal, mode, file) as process:
        try:
            told, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert ("", -signal.SIGKILL) == (errors, process.returncode)
    told_ids = [int(line) for line in told.split()]
    assert list(range(1, len(told_ids) + 1)) == told_ids
    return Killed(file, len(told_ids))


def test_killed_process_has_lost_no_row_that_it_was_told_of(killed: Killed) -> None:
    """Every acknowledged row is there, at most the one under way besides."""
    file, told = killed
    assert COMMITS <= told
    with engine_scope(f"sqlite:///{file}") as engine, engine.connect() as connection:
        found = list(connection.scalars(IDS))
    assert list(range(1, told + 1)) == found[:told]
    assert [told + 1][: len(found) - told] == found[told:]


def test_killed_process_leaves_a_sound_file(killed: Killed) -> None:
    """SQLite finds nothing wrong with the file."""
    assert is_sound(killed.file)


def test_engine_keeps_what_is_committed_unless_it_is_told_otherwise(
    sqlite_url: str,
) -> None:
    """The default is WAL, as an option, and FULL, which is SQLite's own default."""
    with engine_scope(sqlite_url) as engine, engine.connect() as connection:
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        mode = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    assert ("wal", 2) == (journal, mode)


async def test_engine_keeps_what_is_committed_unless_it_is_told_otherwise_async(
    sqlite_url: str,
) -> None:
    """The default is WAL, as an option, and FULL, which is SQLite's own default."""
    async with async_engine_scope(sqlite_url) as engine, engine.connect() as connection:
        journal = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar()
        mode = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar()
    assert ("wal", 2) == (journal, mode)
