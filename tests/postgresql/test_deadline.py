"""A deadline on a server that answers: what runs is stopped there as well."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy.exc
from sqlalchemy import Column, Float, MetaData, Table, text
from sqlalchemy.exc import IntegrityError

from async_layers import DeadlineExceeded, Outcome
from tests.postgresql._deadline import (
    AMPLE,
    BRIEF,
    ONE,
    SLEEP,
    SOON,
    both,
    each,
    is_held_too_long,
    run_out,
    within,
)
from tests.postgresql._dialects import open_side
from tests.postgresql._faults import backend, connect

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side
    from tests.postgresql._people import Observer, People

# A transaction whose COMMIT waits for as long as it is told.
SLOW_COMMIT = """\
CREATE TABLE {0}.slow (seconds float);
CREATE FUNCTION {0}.wait() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_sleep(NEW.seconds); RETURN NEW; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON {0}.slow
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {0}.wait();"""


class SlowCommits:
    """A table, each row of which has COMMIT wait for so many seconds."""

    def __init__(self, observer: Observer, schema: str) -> None:
        self.observer = observer
        self.schema = schema
        observer.execute(SLOW_COMMIT.format(schema).encode())

    def insert(self, connection: Connection, seconds: float) -> None:
        """Insert a row."""
        slow = Table("slow", MetaData(schema=self.schema), Column("seconds", Float))
        connection.execute(slow.insert().values(seconds=seconds))

    def count(self) -> int:
        """Return how many rows others see."""
        query = f"SELECT FROM {self.schema}.slow"
        return len(self.observer.execute(query.encode()).fetchall())


@pytest.fixture
def slow(observer: Observer, schema: str) -> SlowCommits:
    """Return a table whose COMMIT is slow."""
    return SlowCommits(observer, schema)


def is_at_work(observer: Observer, number: int) -> bool:
    """Say whether a process of the server does something."""
    asked = "SELECT state = 'active' FROM pg_stat_activity WHERE pid = %s"
    row = observer.execute(asked, (number,)).fetchone()
    return bool(row and row[0])


@each
def test_a_statement_is_stopped_and_its_connection_goes_on(
    own_side: Side, observer: Observer
) -> None:
    """The server is asked to stop; the error says what ran, and why it ended."""
    seen = list[int]()

    def body(connection: Connection) -> None:
        seen.append(backend(connection))
        run_out(connection, SOON)
        connection.execute(SLEEP)

    ended = within(own_side, AMPLE, body)
    assert (DeadlineExceeded, "a statement", AMPLE, Outcome.ROLLED_BACK) == (
        type(ended.error), ended.error.part, ended.error.seconds, ended.outcome
    )  # fmt: skip
    assert "57014" == ended.error.__cause__.orig.sqlstate
    assert not is_held_too_long(ended)
    assert seen == [own_side.run(backend)]
    assert not is_at_work(observer, seen[0])


@both
def test_a_wait_for_a_lock_is_stopped(own_side: Side, people: People) -> None:
    """Who waits for another transaction waits no longer than its own deadline."""

    def body(connection: Connection) -> None:
        connection.execute(ONE)
        run_out(connection, SOON)
        connection.execute(people.insert("anna"))

    people.observer.execute("BEGIN")
    people.observer.execute(f"LOCK TABLE {people.schema}.person".encode())
    try:
        ended = within(own_side, AMPLE, body)
    finally:
        people.observer.execute("ROLLBACK")
    assert ("a statement", Outcome.ROLLED_BACK) == (ended.error.part, ended.outcome)
    assert not is_held_too_long(ended)
    assert [] == people.names()


@both
def test_what_the_block_does_besides_is_not_interrupted(own_side: Side) -> None:
    """The next statement is refused, and sends nothing; what was done is undone."""
    seen = list[str]()

    def body(connection: Connection) -> None:
        connection.execute(ONE)
        run_out(connection)
        seen.append("goes on")
        connection.execute(SLEEP)

    ended = within(own_side, AMPLE, body)
    assert ["goes on"] == seen
    assert (DeadlineExceeded, Outcome.ROLLED_BACK) == (type(ended.error), ended.outcome)
    assert "A statement ('SELECT pg_sleep(30)') is refused" in str(ended.error)
    assert ended.error.__cause__ is None


@both
def test_a_commit_is_refused_when_the_time_is_over(
    own_side: Side, people: People
) -> None:
    """It rolls back, and says so; the connection is as good as before."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("anna"))
        run_out(connection)

    ended = within(own_side, AMPLE, body)
    assert (DeadlineExceeded, "COMMIT", Outcome.ROLLED_BACK) == (
        type(ended.error), ended.error.part, ended.outcome
    )  # fmt: skip
    assert ([], 0) == (people.names(), people.locks())


@each
def test_a_commit_that_the_server_holds_is_stopped(
    own_side: Side, slow: SlowCommits
) -> None:
    """What a deferred trigger does is stopped; the server says that it rolled back."""

    def body(connection: Connection) -> None:
        slow.insert(connection, 30)
        run_out(connection, SOON)

    ended = within(own_side, AMPLE, body)
    assert ("COMMIT", Outcome.ROLLED_BACK) == (ended.error.part, ended.outcome)
    assert not is_held_too_long(ended)
    assert 0 == slow.count()


@both
def test_a_commit_that_is_nearly_done_is_left_alone(
    own_side: Side, slow: SlowCommits
) -> None:
    """A little too late is committed, and no error: nobody would believe it."""

    def body(connection: Connection) -> None:
        slow.insert(connection, 0.15)
        run_out(connection, SOON)

    ended = within(own_side, AMPLE, body)
    assert (None, Outcome.COMMITTED) == (ended.error, ended.outcome)


@both
def test_a_commit_that_succeeds_when_asked_to_stop_is_unknown(
    own_side: Side, slow: SlowCommits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may have stopped waiting for a standby, and says COMMIT as well."""
    monkeypatch.setattr("async_layers._layers.deadline.limit._LENIENT", 0.05)
    monkeypatch.setattr("async_layers._layers.deadline.limit._GRACE", 2.0)
    # The server hears nothing, and is not cut off: it commits.
    monkeypatch.setattr("async_layers._layers.deadline.operation.stop", lambda _: True)

    async def heard(*_: object) -> bool:
        return True

    monkeypatch.setattr("async_layers._layers.deadline.operation.stop_async", heard)

    def body(connection: Connection) -> None:
        slow.insert(connection, 0.3)
        run_out(connection, SOON)

    ended = within(own_side, AMPLE, body)
    assert ("COMMIT", Outcome.UNKNOWN) == (ended.error.part, ended.outcome)


@both
def test_the_wait_for_the_pool_is_stopped(driver: str, postgresql_url: str) -> None:
    """The error says so, and that of the pool is its cause."""
    with open_side(driver, postgresql_url, pool_size=1, max_overflow=0) as side:
        held: list[Any] = []
        side.on_engine(lambda engine: held.append(engine.connect()))
        ended = within(side, BRIEF, lambda _: None)
        side.on_engine(lambda _: held[0].close())
    assert ("waiting for the pool", None) == (ended.error.part, ended.outcome)
    assert "3o7r" == ended.error.__cause__.code
    assert not is_held_too_long(ended)


@both
def test_a_pool_that_waits_for_less_has_its_own_error(
    driver: str, postgresql_url: str
) -> None:
    """The deadline makes no wait longer, and takes no other's error for its own."""
    arguments = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.02}
    with open_side(driver, postgresql_url, **arguments) as side:
        held: list[Any] = []
        side.on_engine(lambda engine: held.append(engine.connect()))
        ended = within(side, AMPLE, lambda _: None)
        side.on_engine(lambda _: held[0].close())
        assert sqlalchemy.exc.TimeoutError is type(ended.error)
        # It has them back.
        assert 0.02 == side.engine.pool._timeout  # type: ignore[attr-defined]


@both
def test_an_error_of_its_own_stays_what_it_is(own_side: Side, people: People) -> None:
    """A statement that is wrong is wrong, however late it was."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("anna"))

        def late(*_: object) -> None:
            run_out(connection)

        sqlalchemy.event.listen(connection, "before_cursor_execute", late)
        connection.execute(people.insert("anna"))

    ended = within(own_side, AMPLE, body)
    assert IntegrityError is type(ended.error)


@both
def test_a_detached_connection_is_stopped(own_side: Side) -> None:
    """It is of no pool any more, and has its deadline."""

    def body(connection: Connection) -> None:
        connection.detach()
        run_out(connection, SOON)
        connection.execute(SLEEP)

    ended = within(own_side, AMPLE, body)
    assert "a statement" == ended.error.part
    assert not is_held_too_long(ended)


@both
def test_a_savepoint_is_not_gone_back_to_when_the_time_is_over(own_side: Side) -> None:
    """The exception of the block travels on: all of it is rolled back anyway."""

    def body(connection: Connection) -> None:
        with connection.begin_nested():
            connection.execute(ONE)
            run_out(connection)
            raise LookupError

    ended = within(own_side, AMPLE, body)
    assert (LookupError, Outcome.ROLLED_BACK) == (type(ended.error), ended.outcome)


@both
def test_a_savepoint_is_gone_back_to_in_time(own_side: Side, people: People) -> None:
    """A scope in time is as any other."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("anna"))
        with pytest.raises(LookupError), connection.begin_nested():
            connection.execute(people.insert("bert"))
            raise LookupError

    ended = within(own_side, AMPLE, body)
    assert (None, Outcome.COMMITTED) == (ended.error, ended.outcome)
    assert ["anna"] == people.names()


@both
def test_nothing_is_left_of_a_scope_in_time(own_side: Side) -> None:
    """Neither a thread nor a timer: the loop and the process may end."""
    own_side.on_engine(connect)
    before = threading.enumerate()
    ended = within(own_side, AMPLE, lambda connection: connection.execute(ONE))
    assert (None, Outcome.COMMITTED) == (ended.error, ended.outcome)
    assert before == threading.enumerate()


@both
def test_without_a_deadline_nobody_stops_it(own_side: Side) -> None:
    """What takes longer than the deadlines of these tests takes its time."""

    def body(connection: Connection) -> object:
        return connection.scalar(text(f"SELECT pg_sleep({BRIEF + 0.1})::text"))

    assert own_side.run(body) is not None
