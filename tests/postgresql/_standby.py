"""A primary and its streaming standby, from the embedded programs.

Both end with the block, and with this process where that is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psycopg

from async_layers import (
    async_read,
    async_wait_for_position,
    async_wal_position,
    create_async_engines,
    create_engines,
    read,
    wait_for_position,
    wal_position,
)
from async_layers._embedded.programs import drop_root, find_binaries
from async_layers._embedded.watchdog import poll, watchdog
from async_layers.embedded import (
    PostgresServer,
    _choose_settings,
    _is_ready,
    _program,
    _wait,
    embedded_postgres,
)
from tests.postgresql._dialects import OURS, Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine, Executable
    from sqlalchemy.ext.asyncio import AsyncEngine

    from async_layers import AsyncEngines, Engines

SECONDS = 30.0


@dataclass(frozen=True)
class Replicated:
    """A primary and its standby; `url` is libpq's, of both and without a driver."""

    primary: PostgresServer
    standby: PostgresServer

    @property
    def url(self) -> str:
        """Return the URL of both, the primary first."""
        hosts = ",".join(
            f"127.0.0.1:{one.port}" for one in (self.primary, self.standby)
        )
        return f"postgresql://postgres@{hosts}/postgres"

    def on_primary(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements on the primary, each by itself; return the last one's rows."""
        return _run(self.primary, statements)

    def on_standby(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements on the standby, each by itself; return the last one's rows."""
        return _run(self.standby, statements)

    def wait_for_each(self) -> None:
        """Have each commit of the primary's wait for the standby, from now on."""
        self.on_primary(
            "ALTER SYSTEM SET synchronous_standby_names = '*'",
            "SELECT pg_reload_conf()",
        )
        asked = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        end = time.monotonic() + SECONDS
        poll(lambda: bool(self.on_primary(asked)), end)
        assert self.on_primary(asked)

    @contextmanager
    def held_back(self) -> Iterator[str]:
        """Have the standby replay nothing for the length of the block; say how far."""
        self.on_standby("SELECT pg_wal_replay_pause()")
        asked = "SELECT 1 WHERE pg_get_wal_replay_pause_state() = 'paused'"
        poll(lambda: bool(self.on_standby(asked)), time.monotonic() + SECONDS)
        ((position,),) = self.on_standby("SELECT pg_last_wal_replay_lsn()::text")
        try:
            yield position
        finally:
            self.on_standby("SELECT pg_wal_replay_resume()")

    def promote(self) -> None:
        """Make the standby a primary beside the other one, and wait until it is."""
        assert [(True,)] == self.on_standby("SELECT pg_promote(true, 10)")

    def stop_primary(self) -> None:
        """Tell the primary to stop, and its clients that it does."""
        os.kill(self.primary.pid, signal.SIGINT)


def _run(server: PostgresServer, statements: tuple[str, ...]) -> list[tuple[Any, ...]]:
    with psycopg.connect(server.url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@contextmanager
def replicated() -> Iterator[Replicated]:
    """Lend a primary and its standby, both new."""
    with embedded_postgres() as primary, standby_of(primary) as standby:
        yield Replicated(primary, standby)


@contextmanager
def standby_of(primary: PostgresServer) -> Iterator[PostgresServer]:
    """Lend a standby that streams from a server."""
    binaries = find_binaries(None)
    deadline = time.monotonic() + SECONDS
    with (
        tempfile.TemporaryDirectory(prefix="pg-") as name,
        watchdog(directory := Path(name)) as group,
    ):
        user, log = drop_root(directory), directory / "log"
        data = directory / "data"
        backup = [*user, f"{binaries / 'pg_basebackup'}", "-d", primary.url]
        backup += [*("-D", f"{data}", "-R", "-X", "stream", "-c", "fast", "--no-sync")]
        with _program(backup, log, group) as process:
            _wait(process, lambda: process.poll() == 0, deadline, log)
        chosen = _choose_settings(directory, {})
        postgres = [*user, f"{binaries / 'postgres'}", "-D", f"{data}"]
        postgres += [f"-c{key}={value}" for key, value in chosen.items()]
        with _program(postgres, log, group) as process:
            _wait(process, lambda: _is_ready(data), deadline, log)
            url = f"postgresql://postgres@127.0.0.1:{chosen['port']}/postgres"
            yield PostgresServer(url, int(chosen["port"]), process.pid, directory, log)


class Both:
    """The two engines of one world, and the functions for positions beside them."""

    def __init__(
        self,
        driver: str,
        engines: Engines | AsyncEngines,
        runner: asyncio.Runner | None = None,
    ) -> None:
        """Take the engines, and for asyncio what runs their event loop."""
        self.engines = engines
        self.primary = Side(driver, engines.primary, runner)
        self.reading = Side(driver, engines.reading, runner)

    def position(self) -> str:
        """Return how far the primary's log reaches."""
        if self.primary.runner is None:
            return wal_position(cast("Engine", self.engines.primary))
        return self.primary.drive(async_wal_position)

    def read_after(
        self, position: str, statement: Executable, within: float, *, on: Side
    ) -> object:
        """Wait for a position, and read on the same connection, in autocommit."""
        if on.runner is None:
            with read(cast("Engine", on.opened)) as connection:
                wait_for_position(connection, position, within=within)
                return connection.scalar(statement)

        async def body(engine: AsyncEngine) -> object:
            async with async_read(engine) as connection:
                await async_wait_for_position(connection, position, within=within)
                return await connection.scalar(statement)

        return on.drive(body)


@contextmanager
def open_both(driver: str, url: str, **arguments: Any) -> Iterator[Both]:
    """Open the engines of one world of ours, and dispose of both."""
    if driver == OURS:
        blocking = create_engines(url, **arguments)
        try:
            yield Both(driver, blocking)
        finally:
            for engine in blocking:
                engine.dispose()
        return
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        engines = create_async_engines(url, **arguments)
        try:
            yield Both(driver, engines, runner)
        finally:
            for each in engines:
                runner.run(each.dispose())
