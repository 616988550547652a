"""Statements that fail in the middle of something."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from tests.differential._catalogue import cases
from tests.differential._ground import ITEM, add, do, rows, run
from tests.differential._server import reach

if TYPE_CHECKING:
    from tests.differential._ground import Ground


@cases(0, 1, 2)
def executemany_fails(ground: Ground, at: int) -> object:
    """A row of an executemany fails: first, middle, last."""
    with ground.engine.begin() as connection:
        add(connection, 9)
        given = [{"id": 4 + number, "n": 0} for number in range(3)]
        given[at]["id"] = 1
        told = ground.attempt(do, connection, ITEM.insert(), given)
        return [told, ground.attempt(add, connection, 8)]


def executemany_fails_in_a_savepoint(ground: Ground) -> object:
    """A savepoint undoes the rows that had been sent."""
    with ground.engine.begin() as connection:
        given = [{"id": 4}, {"id": 1}]
        savepoint = connection.begin_nested()
        told = ground.attempt(do, connection, ITEM.insert(), given)
        savepoint.rollback()
        add(connection, 8)
        return told


def executemany_of_an_update_fails(ground: Ground) -> object:
    """An executemany that is no INSERT fails alike."""
    statement = text("UPDATE item SET n = 10 / :d WHERE id = :i")
    with ground.engine.begin() as connection:
        given = [{"d": 1, "i": 1}, {"d": 0, "i": 2}, {"d": 1, "i": 3}]
        told = ground.attempt(do, connection, statement, given)
        return [told, ground.attempt(add, connection, 8)]


def missing_parameter(ground: Ground) -> object:
    """A parameter without a value is refused before anything is sent."""
    with ground.engine.begin() as connection:
        told = ground.attempt(do, connection, text("SELECT :x"))
        add(connection, 4)
        return told


def deadlock(ground: Ground) -> object:
    """The one who notices a deadlock is its victim: 40P01."""

    def other() -> None:
        with reach(ground.server.url) as observer:
            observer.execute(f"SET search_path = {ground.schema}".encode())
            observer.execute("SET deadlock_timeout = '1min'; SET lock_timeout = '5s'")
            observer.execute(f"SET application_name = {ground.schema}_b".encode())
            with observer.transaction():
                observer.execute("UPDATE item SET n = 0 WHERE id = 2")
                observer.execute("UPDATE item SET n = 0 WHERE id = 1")

    with ground.engine.connect() as connection:
        run(connection, "SET LOCAL deadlock_timeout = '10ms'")
        run(connection, "UPDATE item SET n = 1 WHERE id = 1")
        with ground.meanwhile(other):
            ground.wait_for(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND application_name = %s",
                f"{ground.schema}_b",
            )
            sql = "UPDATE item SET n = 1 WHERE id = 2"
            told = ground.attempt(run, connection, sql)
            connection.rollback()
        return told


def serializable_write_skew(ground: Ground) -> object:
    """Two who each read what the other writes: 40001."""
    options = {"isolation_level": "SERIALIZABLE"}
    with ground.engine.connect() as one, ground.engine.connect() as other:
        for connection in (one, other):
            connection.execution_options(**options)
            rows(connection, "SELECT sum(n) FROM item")
        run(one, "INSERT INTO item VALUES (4, 'x', 1)")
        run(other, "INSERT INTO item VALUES (5, 'x', 1)")
        one.commit()
        told = ground.attempt(other.commit)
        other.rollback()
        return [told, rows(other, "SELECT 1")]


def statement_timeout(ground: Ground) -> object:
    """A statement that takes too long is 57014."""
    with ground.engine.connect() as connection:
        run(connection, "SET LOCAL statement_timeout = '20ms'")
        return ground.attempt(lambda: rows(connection, "SELECT pg_sleep(5)"))


def cancelled_by_another(ground: Ground) -> object:
    """pg_cancel_backend() is 57014; the connection lives on."""
    with ground.engine.connect() as connection:
        with ground.meanwhile(lambda: ground.end_busy("pg_cancel_backend")):
            told = ground.attempt(lambda: rows(connection, "SELECT pg_sleep(5)"))
        connection.rollback()
        return [told, rows(connection, "SELECT 1")]


def trigger_raises(ground: Ground) -> object:
    """An error of a trigger carries its SQLSTATE."""
    ground.observe(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'no' USING errcode = '23514'; END$$;"
        "CREATE TRIGGER t BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION no()"
    )
    with ground.engine.begin() as connection:
        return ground.attempt(add, connection, 4)


def error_in_mid_rows(ground: Ground) -> object:
    """A SELECT that fails at its third row fails whole."""
    sql = "SELECT 1 / (3 - x) FROM generate_series(1, 5) x"
    with ground.engine.begin() as connection:
        return ground.attempt(rows, connection, sql)


def too_many_parameters(ground: Ground) -> object:
    """More parameters than the protocol counts."""
    with ground.engine.begin() as connection:
        asked = select(ITEM.c.id).where(ITEM.c.id.in_(range(66_000)))
        return ground.attempt(lambda: connection.execute(asked).all())


def fetch_from_no_rows(ground: Ground) -> object:
    """A result without rows is closed."""
    with ground.engine.begin() as connection:
        result: Any = connection.execute(update(ITEM).values(n=0))
        return [result.returns_rows, ground.attempt(result.all)]


def unknown_table_in_a_session(ground: Ground) -> object:
    """An error, rollback(), and the session goes on."""
    with Session(ground.engine) as session:
        told = ground.attempt(run, session, "SELECT * FROM nothing")
        session.rollback()
        add(session, 4)
        session.commit()
        return told


def notice(ground: Ground) -> object:
    """A notice disturbs nobody."""
    with ground.engine.begin() as connection:
        sql = "DO $$BEGIN RAISE NOTICE 'n'; RAISE WARNING 'w'; END$$"
        return ground.attempt(lambda: connection.exec_driver_sql(sql) and None)
