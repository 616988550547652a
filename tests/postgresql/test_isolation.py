"""Isolation levels, READ ONLY and DEFERRABLE: what the server is told, and is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from tests.postgresql._dialects import ASYNCPG, open_side, wrong_on
from tests.postgresql._people import People, state_of
from tests.postgresql._proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sqlalchemy import Connection, Engine

    from tests.postgresql._dialects import Side
    from tests.postgresql._people import Observer

PID = select(func.pg_backend_pid())
SETTINGS = select(
    *(
        func.current_setting(f"transaction_{name}")
        for name in ("isolation", "read_only", "deferrable")
    )
)
ALL = {
    "isolation_level": "SERIALIZABLE",
    "postgresql_readonly": True,
    "postgresql_deferrable": True,
}
DEFAULT = ("read committed", "off", "off")
NO_ALIAS = "READ UNCOMMITTED is not in its table of levels"
LAZY_BEGIN = "the question begins a transaction that nobody ends"


@pytest.fixture
def single(driver: str, postgresql_url: str) -> Iterator[Side]:
    """Return an engine of one connection."""
    with open_side(driver, postgresql_url, pool_size=1, max_overflow=0) as side:
        yield side


def settings(connection: Connection) -> tuple[str, ...]:
    """Return what the server is in."""
    return tuple(connection.execute(SETTINGS).one())


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_level_of_a_connection_is_the_servers(side: Side, level: str) -> None:
    """The transaction is in the level that the option names."""
    found = side.run(settings, isolation_level=level)
    assert (level.lower(), "off", "off") == found


@wrong_on(ASYNCPG, NO_ALIAS)
def test_read_uncommitted_is_accepted(side: Side) -> None:
    """PostgreSQL takes the words, and reports them."""

    def body(connection: Connection) -> tuple[str, str]:
        connection.execution_options(isolation_level="READ UNCOMMITTED")
        return connection.get_isolation_level(), settings(connection)[0]

    assert ("READ UNCOMMITTED", "read uncommitted") == side.run(body)


@wrong_on(ASYNCPG, NO_ALIAS)
def test_all_levels_are_known(side: Side) -> None:
    """A dialect can be asked for them, as before it is told one."""

    def body(engine: Engine) -> set[str]:
        raw = engine.raw_connection()
        try:
            return set(engine.dialect.get_isolation_level_values(raw.dbapi_connection))  # type: ignore[arg-type]
        finally:
            raw.close()

    levels = {"READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"}
    assert {*levels, "AUTOCOMMIT"} == side.on_engine(body)


def test_level_that_is_none_is_refused(side: Side) -> None:
    """The message names those there are."""

    def body(connection: Connection) -> None:
        with pytest.raises(ArgumentError, match="Invalid value 'SNAPSHOT'"):
            connection.execution_options(isolation_level="SNAPSHOT")

    side.run(body)


def test_level_of_an_engine_is_that_of_its_connections(
    driver: str, postgresql_url: str
) -> None:
    """One connection may have another, and the next has the engine's again."""
    level = "REPEATABLE READ"
    with open_side(driver, postgresql_url, isolation_level=level, pool_size=1) as side:
        found = [
            side.run(settings)[0],
            side.run(settings, isolation_level="SERIALIZABLE")[0],
            side.run(settings)[0],
        ]
    assert ["repeatable read", "serializable", "repeatable read"] == found


@pytest.mark.parametrize("option", [{name: value} for name, value in ALL.items()])
def test_option_ends_with_its_connection(single: Side, option: dict[str, Any]) -> None:
    """The next user of the same connection is where the first would be without it."""
    assert DEFAULT != single.run(settings, **option)
    assert DEFAULT == single.run(settings)


def test_level_of_autocommit_ends_with_its_connection(
    people: People, single: Side
) -> None:
    """The next user of the same connection is in transactions again."""
    single.run(lambda connection: connection.execute(select(1)), **AUTOCOMMIT)

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))

    single.run(body)
    assert [] == people.names()


AUTOCOMMIT = {"isolation_level": "AUTOCOMMIT"}


def test_autocommit_is_idle_after_each_statement(side: Side, people: People) -> None:
    """A row is there at once; a rollback undoes nothing."""

    def body(connection: Connection) -> str | None:
        pid = connection.scalars(PID).one()
        connection.execute(people.insert("carl"))
        seen = state_of(people.observer, pid)
        connection.rollback()
        return seen

    assert "idle" == side.run(body, **AUTOCOMMIT)
    assert ["carl"] == people.names()


def test_read_only_transaction_refuses_to_write(side: Side, people: People) -> None:
    """The server says so, by 25006."""

    def body(connection: Connection) -> None:
        with pytest.raises(DBAPIError) as caught:
            connection.execute(people.insert("carl"))
        assert "25006" == getattr(caught.value.orig, "sqlstate", None)

    side.run(body, postgresql_readonly=True)


def told(driver: str, url: str, options: dict[str, Any]) -> list[str]:
    """Return what the server is told for one statement on a warm connection.

    asyncpg ends its BEGIN with a semicolon.
    """
    with Proxy(url) as proxy, open_side(driver, proxy.url) as side:
        side.run(settings)
        with proxy.counting() as traffic:
            side.run(lambda connection: connection.execute(select(1)), **options)
        return [statement.rstrip(";") for statement in traffic.statements]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "BEGIN"),
        (ALL, "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE"),
        ({"postgresql_readonly": True}, "BEGIN READ ONLY"),
        ({"postgresql_deferrable": True}, "BEGIN DEFERRABLE"),
    ],
    ids=["nothing", "all", "read only", "deferrable"],
)
def test_options_are_words_of_begin(
    driver: str, postgresql_url: str, options: dict[str, Any], expected: str
) -> None:
    """They cost no statement of their own, before it or when they are put back."""
    assert [expected, "SELECT 1", "ROLLBACK"] == told(driver, postgresql_url, options)


def test_default_of_the_session_holds_where_none_is_named(single: Side) -> None:
    """BEGIN names no level of itself, so that the server's setting stands."""
    change = text("SET default_transaction_isolation = 'serializable'")

    def body(connection: Connection) -> str:
        connection.execute(change)
        connection.commit()
        return settings(connection)[0]

    assert "serializable" == single.run(body)


@wrong_on(ASYNCPG, LAZY_BEGIN)
def test_question_for_the_level_leaves_the_server_idle(
    observer: Observer, single: Side
) -> None:
    """The server is in no transaction that SQLAlchemy does not know."""
    pid = single.run(lambda connection: int(connection.scalars(PID).one()))

    def body(connection: Connection) -> tuple[str, str | None, bool]:
        level = connection.get_isolation_level()
        return level, state_of(observer, pid), connection.in_transaction()

    assert ("READ COMMITTED", "idle", False) == single.run(body)


def test_question_for_the_level_leaves_a_transaction_alone(
    people: People, single: Side
) -> None:
    """What was written before can still be committed."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        connection.get_isolation_level()
        connection.commit()

    single.run(body)
    assert ["carl"] == people.names()
