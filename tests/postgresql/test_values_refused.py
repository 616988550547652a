"""A value that is refused ends the transaction, and nothing of it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    MetaData,
    Table,
    bindparam,
    insert,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.exc import DataError, DBAPIError, PendingRollbackError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.postgresql._dialects import ASYNCPG, wrong_on
from tests.postgresql._values import (
    OUT_OF_RANGE,
    UNREADABLE,
    is_aborted,
    outcome,
    temporary,
)

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from tests.postgresql._dialects import Side

LIVES = "asyncpg refuses it before it is sent, and the transaction lives on"
TOO_LARGE = 2**40


def numbers(schema: str) -> Table:
    """Return a table that others see."""
    return Table("number", MetaData(schema=schema), Column("v", Integer))


def seen(observer: psycopg.Connection[Any], table: Table) -> list[int]:
    """Return what others see of a table."""
    found = observer.execute(f"SELECT v FROM {table} ORDER BY v".encode())  # noqa: S608 - our own
    return [v for (v,) in found]


@wrong_on(ASYNCPG, LIVES)
def test_nothing_is_committed_after_a_refusal(
    side: Side, schema: str, observer: psycopg.Connection[Any]
) -> None:
    """A block that goes on after a refused value commits neither what is before it."""
    table = numbers(schema)

    def body(connection: Connection) -> None:
        table.create(connection)
        connection.commit()
        connection.execute(insert(table), {"v": 1})
        with pytest.raises(DBAPIError):
            connection.execute(insert(table), {"v": TOO_LARGE})
        with pytest.raises(DBAPIError) as refused:
            connection.execute(insert(table), {"v": 2})
        assert "25P02" == getattr(refused.value.orig, "sqlstate", None)
        connection.commit()

    side.run(body)
    assert [] == seen(observer, table)


@wrong_on(ASYNCPG, LIVES)
def test_the_server_knows_that_the_transaction_is_over(
    side: Side, observer: psycopg.Connection[Any]
) -> None:
    """The backend is `idle in transaction (aborted)`."""

    def body(connection: Connection) -> object:
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with pytest.raises(DBAPIError):
            connection.execute(select(literal("abc", Integer)))
        found = observer.execute(
            "SELECT state FROM pg_stat_activity WHERE pid = %s", (pid,)
        )
        return found.fetchone()

    assert ("idle in transaction (aborted)",) == side.run(body)


@pytest.mark.parametrize("value", [TOO_LARGE, "abc", float("nan")])
def test_a_savepoint_ends_a_refusal(side: Side, value: object) -> None:
    """Rolled back to the savepoint, the transaction goes on."""

    def body(connection: Connection) -> object:
        table = temporary(connection, Integer())
        connection.execute(insert(table), {"v": 1})
        with pytest.raises(DBAPIError), connection.begin_nested():
            connection.execute(insert(table), {"v": value})
        connection.execute(insert(table), {"v": 2})
        return connection.scalars(select(table.c.v)).all()

    assert [1, 2] == side.run(body)


def test_after_a_rollback_the_connection_is_as_new(side: Side) -> None:
    """A refused value leaves nothing behind that the next transaction meets."""

    def body(connection: Connection) -> object:
        statement = select(literal(5, Integer))
        for value in ("abc", TOO_LARGE, "abc"):
            with pytest.raises(DBAPIError):
                connection.execute(select(literal(value, Integer)))
            connection.rollback()
            assert 5 == connection.scalar(statement)
        return is_aborted(connection)

    assert not side.run(body)


@wrong_on(ASYNCPG, "the error has no class of PEP 249 and not the server's SQLSTATE")
def test_the_error_is_the_servers(side: Side) -> None:
    """The refusal has the server's message, SQLSTATE and class, and the statement."""

    def body(connection: Connection) -> DataError:
        with pytest.raises(DataError) as refused:
            connection.execute(text("SELECT CAST(:v AS integer)"), {"v": "abc"})
        return refused.value

    error = side.run(body)
    assert 'invalid input syntax for type integer: "abc"' in str(error.orig)
    assert "22P02" == getattr(error.orig, "sqlstate", None)
    assert "CAST(" in str(error.statement)
    assert not error.connection_invalidated


@wrong_on(ASYNCPG, LIVES)
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("value", "expected"), [(TOO_LARGE, OUT_OF_RANGE), ("abc", UNREADABLE)]
)
def test_a_batch_stops_at_a_refused_value(
    side: Side, place: int, value: object, expected: object
) -> None:
    """Wherever the value stands among the rows, the transaction ends with it."""

    def body(connection: Connection) -> object:
        table = temporary(connection, Integer())
        rows: list[dict[str, object]] = [{"v": number} for number in range(3)]
        rows[place] = {"v": value}
        return outcome(connection, lambda: connection.execute(insert(table), rows))

    assert expected == side.run(body)


@pytest.mark.parametrize("isolation_level", ["READ COMMITTED", "AUTOCOMMIT"])
@pytest.mark.parametrize("size", [3, 2000])
def test_nothing_of_a_batch_stays(
    side: Side,
    isolation_level: str,
    size: int,
    schema: str,
    observer: psycopg.Connection[Any],
) -> None:
    """Rows before the refused value are gone too, in autocommit as well."""
    table = numbers(schema)
    rows: list[dict[str, object]] = [{"v": number} for number in range(size)]
    rows[-2] = {"v": "abc"}

    def body(connection: Connection) -> None:
        table.create(connection)
        connection.commit()
        with pytest.raises(DBAPIError):
            connection.execute(insert(table), rows)
        connection.commit()

    side.run(body, isolation_level=isolation_level)
    assert [] == seen(observer, table)


@wrong_on(ASYNCPG, LIVES)
def test_a_refused_row_of_many_updates(side: Side) -> None:
    """An executemany of UPDATE ends with the refused value as one of INSERT does."""

    def body(connection: Connection) -> object:
        table = temporary(connection, BigInteger())
        connection.execute(insert(table), [{"v": 1}, {"v": 2}])
        statement = update(table).where(table.c.v == bindparam("old"))
        rows = [{"old": 1, "v": 5}, {"old": 2, "v": 2**63}]
        return outcome(connection, lambda: connection.execute(statement, rows))

    assert OUT_OF_RANGE == side.run(body)


class Base(DeclarativeBase):
    """The mapped table of these tests."""


class Number(Base):
    """A row with a number."""

    __tablename__ = "al_number"
    __table_args__ = ({"prefixes": ["TEMPORARY"]},)

    id: Mapped[int] = mapped_column(primary_key=True)
    v: Mapped[int | None]


@pytest.mark.parametrize("size", [1, 3])
def test_a_flush_that_is_refused_wants_a_rollback(side: Side, size: int) -> None:
    """The session is inactive until it is rolled back, then as new."""

    def body(session: Session) -> object:
        Base.metadata.create_all(session.connection())
        values: list[Any] = [*range(size - 1), TOO_LARGE]
        session.add_all(Number(id=i, v=v) for i, v in enumerate(values))
        with pytest.raises(DBAPIError):
            session.flush()
        with pytest.raises(PendingRollbackError):
            session.execute(select(1))
        session.rollback()
        return session.scalar(select(1))

    assert 1 == side.session(body)
