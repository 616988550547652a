"""Where a refused `text()` is refused, and what happens where it is not."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import DDL, DateTime, bindparam, column, literal, select, text
from sqlalchemy.exc import (
    ArgumentError,
    InvalidRequestError,
    ProgrammingError,
    StatementError,
)

from async_layers import PostgreSQLOptions
from tests.postgresql._dialects import (
    ASYNCPG,
    OURS,
    OURS_ASYNC,
    on,
    open_side,
    wrong_on,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from tests.postgresql._dialects import Side
    from tests.postgresql._people import People

OFF = PostgreSQLOptions(
    refuse_transaction_control=False, refuse_several_statements=False
)
STRICT = PostgreSQLOptions(refuse_naive_datetimes=True)
NOON = dt.datetime(2026, 7, 1, 12)  # noqa: DTZ001 - naive, which is the point


@pytest.fixture
def free(people: People, driver: str, postgresql_url: str) -> Iterator[Side]:
    """Return an engine that refuses nothing."""
    del people  # it outlives the engine
    with open_side(driver, postgresql_url, postgresql=OFF) as side:
        yield side


@pytest.fixture
def strict(driver: str, postgresql_url: str) -> Iterator[Side]:
    """Return an engine that refuses a datetime without a zone too."""
    with open_side(driver, postgresql_url, postgresql=STRICT) as side:
        yield side


@on(OURS, OURS_ASYNC)
def test_transaction_goes_on_after_a_refusal(side: Side, people: People) -> None:
    """The server heard nothing, so that it has nothing to abort."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        for refused in ("COMMIT", "SELECT 1; SELECT 2"):
            with pytest.raises(InvalidRequestError):
                connection.execute(text(refused))
        connection.execute(people.insert("dora"))
        connection.commit()

    side.run(body)
    assert ["carl", "dora"] == people.names()


@on(OURS, OURS_ASYNC)
def test_refusal_is_the_same_wherever_the_text_is(side: Side) -> None:
    """Under AUTOCOMMIT, in a session, with columns, with many parameters, again."""

    def body(session: Session) -> None:
        connection = session.connection(
            execution_options={"isolation_level": "AUTOCOMMIT"}
        )
        columns = text("SELECT 1 AS x; COMMIT").columns(column("x"))
        several = text("SELECT CAST(:x AS int); SELECT 2")
        ways: list[Callable[[], object]] = [
            lambda: session.execute(text("COMMIT")),
            lambda: connection.execute(text("BEGIN")),
            lambda: connection.execute(columns),
            lambda: connection.execute(several, [{"x": 1}, {"x": 2}]),
        ]
        for execute in 2 * ways:
            with pytest.raises(InvalidRequestError, match="is refused"):
                execute()

    side.session(body)


@on(OURS, OURS_ASYNC)
def test_transaction_control_is_run_where_it_is_not_refused(
    people: People, free: Side
) -> None:
    """The server ends the transaction; the next statement begins another."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        connection.execute(text("COMMIT"))
        connection.execute(people.insert("dora"))
        connection.rollback()

    free.run(body)
    assert ["carl"] == people.names()


@on(OURS, OURS_ASYNC)
def test_one_option_leaves_the_other(driver: str, postgresql_url: str) -> None:
    """Each is for itself."""
    control = PostgreSQLOptions(refuse_transaction_control=False)
    several = PostgreSQLOptions(refuse_several_statements=False)

    def body(connection: Connection, allowed: str, refused: str) -> None:
        connection.execute(text(allowed))
        with pytest.raises(InvalidRequestError, match="is refused"):
            connection.execute(text(refused))

    two, commit = "SELECT 1; SELECT 2", "SELECT 1; COMMIT"
    with open_side(driver, postgresql_url, postgresql=control) as side:
        side.run(lambda connection: body(connection, "COMMIT", two))
    with open_side(driver, postgresql_url, postgresql=several) as side:
        side.run(lambda connection: body(connection, two, commit))


@on(OURS, OURS_ASYNC)
def test_several_statements_are_run_where_they_are_not_refused(
    people: People, free: Side
) -> None:
    """All of them are part of the transaction."""

    def body(connection: Connection) -> None:
        add = "INSERT INTO {0} VALUES ({1}, '{2}'); INSERT INTO {0} VALUES ({3}, '{4}')"
        connection.execute(text(add.format(people.table, 1, "a", 2, "b")))
        connection.rollback()
        connection.execute(text(add.format(people.table, 3, "c", 4, "d")))
        connection.commit()

    free.run(body)
    assert ["c", "d"] == people.names()


@on(OURS, OURS_ASYNC)
def test_several_statements_fail_together(people: People, free: Side) -> None:
    """The second's error is the error, and the first is rolled back."""

    def body(connection: Connection) -> None:
        with pytest.raises(ProgrammingError):
            connection.execute(
                text(f"INSERT INTO {people.table} VALUES (1); SELECT nothing")  # noqa: S608
            )
        connection.commit()

    free.run(body)
    assert [] == people.names()


@pytest.mark.parametrize(("driver", "rows"), [(OURS, [1]), (OURS_ASYNC, None)])
def test_only_the_blocking_driver_has_rows_of_several(
    people: People, free: Side, rows: list[int] | None
) -> None:
    """They are the first statement's; asyncpg's simple protocol gives none."""
    del people

    def body(connection: Connection) -> list[int] | None:
        result = connection.execute(text("SELECT 1; SELECT 2"))
        return list(result.scalars()) if result.returns_rows else None

    assert rows == free.run(body)


def test_several_statements_with_a_parameter_are_the_servers_to_refuse(
    side: Side,
) -> None:
    """What has parameters is prepared, and that is one statement (42601)."""

    def body(connection: Connection) -> None:
        first = "%(x)s" if connection.dialect.driver == "psycopg" else "$1"
        parameters = {"x": 1} if connection.dialect.driver == "psycopg" else (1,)
        with pytest.raises(ProgrammingError) as caught:
            connection.exec_driver_sql(
                f"SELECT CAST({first} AS int); SELECT 2",
                parameters,
            )
        assert "42601" == getattr(caught.value.orig, "sqlstate", None)

    side.run(body)


@wrong_on(ASYNCPG, "every statement is prepared, and that is one")
def test_ddl_of_several_statements_is_run(side: Side, people: People) -> None:
    """`DDL()` is nothing that anybody reads rows of."""
    town = f"{people.schema}.town"
    ddl = DDL(  # type: ignore[no-untyped-call] # SQLAlchemy's has no types
        f"CREATE TABLE {town} (id int); CREATE INDEX ON {town} (id)"
    )

    def body(connection: Connection) -> None:
        connection.execute(ddl)
        connection.commit()

    side.run(body)
    assert ["person", "town"] == sorted(people.tables())


@on(OURS, OURS_ASYNC)
def test_naive_datetime_is_refused_where_that_is_asked(strict: Side) -> None:
    """In an expression, in a text with types, among several; the zone mends it."""
    typed = text("SELECT CAST(:at AS timestamptz)").bindparams(
        bindparam("at", type_=DateTime(timezone=True))
    )

    def body(connection: Connection) -> object:
        aware = NOON.replace(tzinfo=dt.UTC)
        zoned = literal(NOON, DateTime(timezone=True))
        for execute in (
            lambda: connection.execute(select(zoned)),
            lambda: connection.execute(typed, {"at": NOON}),
            lambda: connection.execute(typed, [{"at": aware}, {"at": NOON}]),
        ):
            with pytest.raises((StatementError, ArgumentError), match="no time zone"):
                execute()
        return connection.scalar(typed, {"at": aware})

    assert NOON.replace(tzinfo=dt.UTC) == strict.run(body)


@on(OURS, OURS_ASYNC)
def test_naive_datetime_for_a_column_without_a_zone_is_not_refused(
    strict: Side,
) -> None:
    """It is what such a column holds."""
    naive = select(literal(NOON, DateTime()))
    assert NOON == strict.run(lambda connection: connection.scalar(naive))
