"""The proof can fail: one planted fault for each part of an outcome is caught."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection, Engine, insert, text

from async_layers import (
    async_transaction,
    create_async_engine,
    engine_scope,
    transaction,
)
from async_layers._proof.facts import Fact
from async_layers._proof.outcome import Outcome
from async_layers._proof.witness import PostgreSQLWitness, Sight, SQLiteWitness
from async_layers.parity import Difference, judge, prove
from async_layers.patterns.tables import Account
from async_layers.trace import Event, Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from async_layers._proof.scratch import Scratch

CARL = {"id": 3, "owner": "carl", "balance": 10}
TRACE = """
checkout
BEGIN
INSERT account
COMMIT
reset
checkin
"""
WRITTEN = {"result": "1", "trace": TRACE, "rows": "COMMIT: + account 3 carl 10"}


def good(engine: Engine) -> int:
    with transaction(engine) as connection:
        connection.execute(insert(Account).values(CARL))
    return 1


async def good_async(engine: AsyncEngine) -> int:
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account).values(CARL))
    return 1


def planted(half: Callable[..., object] = good_async, **written: object) -> Fact:
    return Fact(
        "connection.planted", "connection", "It.", good, half, WRITTEN | written
    )


def parts(fact: Fact, place: Scratch) -> set[str]:
    return {difference.part for difference in prove(fact, place).differences}


def test_an_honest_pair_holds(place: Scratch) -> None:
    """Without a fault there is no difference."""
    assert not prove(planted(), place).differences
    assert prove(planted(), place).holds
    assert prove(planted(), place).reason is None


async def other_result(engine: AsyncEngine) -> int:
    return await good_async(engine) + 1


async def raises(engine: AsyncEngine) -> int:
    await good_async(engine)
    raise LookupError


async def raises_of_driver(engine: AsyncEngine) -> int:
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account).values(CARL | {"owner": "anna"}))
    return 1


async def commits_twice(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        await connection.execute(insert(Account).values(CARL))
        await connection.commit()
        await connection.execute(text("SELECT 1"))
        await connection.commit()
    return 1


async def other_row(engine: AsyncEngine) -> int:
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account).values(CARL | {"balance": 11}))
    return 1


async def behind_the_back(engine: AsyncEngine) -> int:
    """Send a statement that SQLAlchemy, and so the trace, knows nothing of."""
    async with async_transaction(engine) as connection:
        await connection.run_sync(_update_at_the_driver)
        await connection.execute(insert(Account).values(CARL))
    return 1


def _update_at_the_driver(connection: Connection) -> None:
    _run_at_the_driver(connection, "UPDATE document SET version = 1")


kept: list[AsyncConnection] = []


async def keeps_a_connection(engine: AsyncEngine) -> int:
    connection = engine.connect()
    kept.append(await connection.start())
    await connection.execute(insert(Account).values(CARL))
    await connection.commit()
    return 1


async def blocks(engine: AsyncEngine) -> int:
    """Do the work by the blocking driver, in another engine."""
    url = engine.url.set(drivername=engine.dialect.name)
    with engine_scope(url) as blocking:
        return good(blocking)


async def leaves_a_lock(engine: AsyncEngine) -> int:
    """Do the work, and more in a transaction that nobody ends."""
    await good_async(engine)
    other = create_async_engine(engine.url)
    connection = await other.connect()
    await connection.execute(text("UPDATE document SET version = 1"))
    left.append(connection)
    return 1


left: list[AsyncConnection] = []


async def sleeps(engine: AsyncEngine) -> int:
    """Keep the event loop for longer than a half may take."""
    time.sleep(0.06)  # noqa: ASYNC251 - the fault
    return await good_async(engine)


@pytest.mark.parametrize(
    ("part", "half"),
    [
        ("result", other_result),
        ("driver", blocks),
        ("error", raises),
        ("driver_error", raises_of_driver),
        ("trace", commits_twice),
        ("rows", other_row),
        ("server", behind_the_back),
    ],
)
def test_planted_fault_is_caught(
    part: str, half: Callable[..., object], place: Scratch
) -> None:
    """A half that differs in one part is caught in that part."""
    fact = planted(half)
    verdict = prove(fact, place)
    assert not verdict.holds
    assert part in {difference.part for difference in verdict.differences}
    assert part in str(verdict.reason)


TELLING = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET statement_timeout = '7s'",
}


def test_setting_that_stays_is_caught(place: Scratch) -> None:
    """A half that tells a connection something for good is caught in the pool."""

    async def tells(engine: AsyncEngine) -> int:
        async with engine.connect() as connection:
            await connection.run_sync(_run_at_the_driver, TELLING[place.database])
            await connection.run_sync(_commit_at_the_driver)
        return await good_async(engine) if place.database == "postgresql" else 1

    found = [d for d in prove(planted(tells), place).differences if d.part == "pool"]
    assert found
    assert "kept" in found[0].right


def _commit_at_the_driver(connection: Connection) -> None:
    connection.connection.dbapi_connection.commit()


def _run_at_the_driver(connection: Connection, statement: str) -> None:
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(statement)


@pytest.mark.filterwarnings("ignore:The garbage collector:sqlalchemy.exc.SAWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_lock_that_stays_is_caught_and_broken(psycopg_place: Scratch) -> None:
    """A half that leaves a transaction open is caught, and stops nobody after it."""
    found = prove(planted(leaves_a_lock), psycopg_place).differences
    assert "left document RowExclusiveLock" in "".join(d.right for d in found)
    assert prove(planted(), psycopg_place).holds
    left.clear()
    gc.collect()


def test_blocking_half_that_keeps_its_connection_is_caught(
    sqlite_place: Scratch,
) -> None:
    """The blocking half is looked at in the same way."""
    out = list[Connection]()

    def keeps(engine: Engine) -> int:
        out.append(engine.connect())
        return good(engine)

    fact = Fact("connection.x", "connection", "It.", keeps, good_async, WRITTEN)
    assert "1 out" in [d.right for d in prove(fact, sqlite_place).differences]
    out[0].invalidate()  # its pool is gone
    out.pop().close()


def test_server_that_says_nothing_is_caught(
    place: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the server's word nothing holds."""
    gone = Sight("gone", (), ())
    for witness in (SQLiteWitness, PostgreSQLWitness):
        monkeypatch.setattr(witness, "see", lambda *_: gone)
    verdict = prove(planted(), place)
    assert "was not asked" in str(verdict.reason)


def test_half_that_blocks_for_too_long_is_caught(
    sqlite_place: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half that keeps the event loop, and cannot be ended, is told of afterwards."""
    monkeypatch.setattr("async_layers._proof.outcome.SECONDS", 0.05)
    assert "TimeoutError" == prove(planted(sleeps), sqlite_place).asyncio.error


@pytest.mark.filterwarnings("ignore:The garbage collector:sqlalchemy.exc.SAWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_connection_that_stays_out_is_caught(sqlite_place: Scratch) -> None:
    """A half that keeps its connection is caught in the pool."""
    assert "pool" in parts(planted(keeps_a_connection), sqlite_place)
    kept.clear()
    gc.collect()


def judged(place: Scratch, **halves: object) -> list[Difference]:
    """Judge two outcomes that are what `planted()` writes, but for the given."""
    event = Event("connection", "INSERT account", 0.0, 1)
    begin = Event("connection", "BEGIN", 0.0, 1)
    expected = planted().expected(place.database, "sync", "none")
    outcome = {
        "result": "1",
        "trace": expected.trace,
        "rows": expected.rows,
        "pool": "0 out",
        "server": [(event, Sight("in transaction", ("INSERT account",), ()))],
        "recorded": Trace([begin, event]),
    }
    sync = Outcome(**outcome)  # type: ignore[arg-type]
    other = Outcome(**outcome | halves)  # type: ignore[arg-type]
    return list(judge(planted(), place, sync, other))


def test_server_that_says_idle_is_believed(asyncpg_place: Scratch) -> None:
    """A trace that says BEGIN is caught where the server has no transaction."""
    event = Event("connection", "INSERT account", 0.0, 1)
    seen = [(event, Sight("idle", ("INSERT account",), ()))]
    recorded = Trace([Event("connection", "BEGIN", 0.0, 1), event])
    found = judged(asyncpg_place, server=seen, recorded=recorded)
    assert [(difference.part, difference.where) for difference in found] == [
        ("server", "async"),
        ("server", "both"),
    ]
    assert str(found[0]) == (
        "server (async): traced 'BEGIN, INSERT account: in transaction', "
        "server 'INSERT account: idle'"
    )


def test_begin_in_other_words_is_caught(sqlite_place: Scratch) -> None:
    """A trace that says BEGIN is caught where SQLite was sent BEGIN IMMEDIATE."""
    event = Event("connection", "INSERT account", 0.0, 1)
    heard = ("BEGIN IMMEDIATE", "INSERT account")
    recorded = Trace([Event("connection", "BEGIN", 0.0, 1), event])
    seen = [(event, Sight("in transaction", heard, ()))]
    found = judged(sqlite_place, server=seen, recorded=recorded)
    assert ["server"] == [difference.part for difference in found]
    assert (
        "server (async): traced 'BEGIN, INSERT account: in transaction', "
        "server 'BEGIN IMMEDIATE, INSERT account: in transaction'"
    ) == str(found[0])


def test_begin_that_never_went_out_is_caught(sqlite_place: Scratch) -> None:
    """A trace that says BEGIN is caught where SQLite was sent none."""
    event = Event("connection", "INSERT account", 0.0, 1)
    recorded = Trace([Event("connection", "BEGIN", 0.0, 1), event])
    seen = [(event, Sight("idle", ("INSERT account",), ()))]
    found = judged(sqlite_place, server=seen, recorded=recorded)
    assert (
        "server (async): traced 'BEGIN, INSERT account: in transaction', "
        "server 'INSERT account: idle'"
    ) == str(found[0])


def test_statement_that_no_event_tells_of_is_caught(sqlite_place: Scratch) -> None:
    """What SQLite is sent after the last event is caught, also if it is all."""

    async def reads_at_the_driver(engine: AsyncEngine) -> int:
        result = await good_async(engine)
        async with engine.connect() as connection:
            await connection.run_sync(_run_at_the_driver, "SELECT 1 FROM document")
        return result

    found = prove(planted(reads_at_the_driver), sqlite_place).differences
    assert "server (async): traced 'nothing more', server 'SELECT document'" in {
        str(difference) for difference in found
    }


def test_lock_that_one_world_does_not_take_is_caught(asyncpg_place: Scratch) -> None:
    """Locks are compared between the worlds."""
    event = Event("connection", "INSERT account", 0.0, 1)
    seen = [(event, Sight("in transaction", ("INSERT account",), ("account Share",)))]
    recorded = Trace([Event("connection", "BEGIN", 0.0, 1), event])
    found = judged(asyncpg_place, server=seen, recorded=recorded)
    assert [(found[0].part, found[0].where)] == [("server", "both")]


def test_difference_names_the_layer_and_the_line(sqlite_place: Scratch) -> None:
    """A trace that parts from the written one says in which line and layer."""
    found = prove(planted(commits_twice), sqlite_place).differences
    assert [d.where for d in found if d.part == "trace"] == [
        "async, line 5, connection",
        "both",
    ]
    assert found[0].side_by_side() == (
        "written          seen\n"
        "checkout         checkout\n"
        "BEGIN            BEGIN\n"
        "INSERT account   INSERT account\n"
        "COMMIT           COMMIT\n"
        "reset          | BEGIN\n"
        "checkin        | SELECT\n"
        "               | COMMIT\n"
        "               | reset\n"
        "               | checkin"
    )


def test_declared_difference_that_does_not_differ_is_caught(
    sqlite_place: Scratch,
) -> None:
    """A difference that is declared and not there is a fault of its own."""
    fact = planted(**{"async": {"differs": "once it did"}})
    assert {"declared"} == parts(fact, sqlite_place)


def test_table_that_is_locked_is_not_waited_for(asyncpg_place: Scratch) -> None:
    """Rows that the observer cannot see, since they are locked, are not changes."""

    def lock(engine: Engine) -> None:
        with transaction(engine) as connection:
            connection.execute(text("LOCK TABLE account"))

    async def lock_async(engine: AsyncEngine) -> None:
        async with async_transaction(engine) as connection:
            await connection.execute(text("LOCK TABLE account"))

    trace = "checkout\nBEGIN\nLOCK TABLE\nCOMMIT\nreset\ncheckin"
    written = {"trace": trace}
    fact = Fact("connection.lock", "connection", "It.", lock, lock_async, written)
    assert not prove(fact, asyncpg_place).differences


def test_half_that_hangs_is_ended(
    sqlite_place: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half that does not end in time is an error, not a hang."""

    async def hangs(_: AsyncEngine) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("async_layers._proof.outcome.SECONDS", 0.05)
    verdict = prove(planted(hangs), sqlite_place)
    assert verdict.asyncio.error == "TimeoutError"


def test_server_that_lacks_something_is_not_asked(sqlite_place: Scratch) -> None:
    """A fact that needs more than the server has is skipped with the reason."""
    verdict = prove(planted(needs="two servers"), sqlite_place)
    assert not verdict.holds
    assert verdict.reason == "two servers is not to be had on SQLite"
