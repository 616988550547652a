"""Prepared statements and types that change under the connection."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Integer, MetaData, Table, Text, inspect, select, text
from sqlalchemy.dialects.postgresql import ENUM

from tests.differential._catalogue import cases
from tests.differential._ground import ITEM, add, do, rows, run

if TYPE_CHECKING:
    from tests.differential._ground import Ground

# psycopg prepares a statement at its sixth turn.
_OFTEN = 7
_CHANGES = {
    "column added": "ALTER TABLE item ADD more int DEFAULT 1",
    "column dropped": "ALTER TABLE item DROP n",
    "type changed": "ALTER TABLE item ALTER n TYPE bigint",
    "made again": "DROP TABLE item; CREATE TABLE item (id int, name text, z int)",
}


@cases(*_CHANGES)
def changed_by_another(ground: Ground, name: str) -> object:
    """A prepared SELECT * whose table another has changed: 0A000 in a transaction."""
    with ground.engine.connect() as connection:
        for _ in range(_OFTEN):
            rows(connection, "SELECT * FROM item")
        connection.commit()  # a rollback makes psycopg forget what it prepared
        ground.observe(_CHANGES[name])
        told = ground.attempt(rows, connection, "SELECT * FROM item")
        connection.rollback()
        return [told, ground.attempt(rows, connection, "SELECT * FROM item")]


@cases(*_CHANGES)
def changed_by_itself(ground: Ground, name: str) -> object:
    """A prepared SELECT * whose table changes in the same transaction."""
    with ground.engine.connect() as connection:
        for _ in range(_OFTEN):
            rows(connection, "SELECT * FROM item")
        for sql in _CHANGES[name].split(";"):
            run(connection, sql)
        return ground.attempt(rows, connection, "SELECT * FROM item")


def inserted_after_a_change(ground: Ground) -> object:
    """A prepared INSERT whose column has become longer."""
    ground.observe("ALTER TABLE item ALTER name TYPE varchar(3)")
    with ground.engine.connect() as connection:
        for number in range(10, 10 + _OFTEN):
            connection.execute(ITEM.insert(), {"id": number, "name": "abc"})
        connection.commit()
        ground.observe("ALTER TABLE item ALTER name TYPE varchar(9)")
        given = {"id": 50, "name": "abcdef"}
        told = ground.attempt(do, connection, ITEM.insert(), given)
        connection.commit()
        return told


def parameter_after_a_change(ground: Ground) -> object:
    """A prepared UPDATE whose column has another type."""
    with ground.engine.connect() as connection:
        statement = text("UPDATE item SET n = :n WHERE id = 1")
        for number in range(_OFTEN):
            connection.execute(statement, {"n": number})
        connection.commit()
        ground.observe("ALTER TABLE item ALTER n TYPE bigint")
        told = ground.attempt(do, connection, statement, {"n": 2**40})
        connection.commit()
        return told


def type_made_again(ground: Ground) -> object:
    """An enum that another has dropped and made again, with other words."""
    make = "CREATE TYPE mood AS ENUM ({}); CREATE TABLE m (id int, x mood)"
    ground.observe(make.format("'sad', 'ok'"))
    kind: Any = ENUM("sad", "ok", "glad", name="mood", create_type=False)
    table = Table("m", MetaData(), Column("id", Integer), Column("x", kind))
    with ground.engine.connect() as connection:
        for _ in range(_OFTEN):
            connection.execute(table.insert(), {"id": 1, "x": "ok"})
        connection.commit()
        ground.observe("DROP TABLE m; DROP TYPE mood;" + make.format("'glad'"))
        told = list[Any]()
        for word in ("glad", "ok"):
            given = {"id": 2, "x": word}
            told.append(ground.attempt(do, connection, table.insert(), given))
            connection.rollback()
        given = {"id": 3, "x": "glad"}
        told.append(ground.attempt(do, connection, table.insert(), given))
        ground.attempt(connection.commit)
        return [told, ground.attempt(lambda: connection.execute(select(table)).all())]


def type_extended(ground: Ground) -> object:
    """An enum that has a word more."""
    ground.observe("CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE m (x mood)")
    kind: Any = ENUM("ok", "glad", name="mood", create_type=False)
    table = Table("m", MetaData(), Column("x", kind))
    with ground.engine.connect() as connection:
        connection.execute(table.insert(), {"x": "ok"})
        connection.commit()
        ground.observe("ALTER TYPE mood ADD VALUE 'glad'")
        connection.execute(table.insert(), {"x": "glad"})
        connection.commit()
        return connection.execute(select(table)).scalars().all()


def composite_changed(ground: Ground) -> object:
    """A composite type that has another attribute."""
    ground.observe("CREATE TYPE pair AS (a int)")
    with ground.engine.connect() as connection:
        sql = "SELECT CAST(CAST(ROW(1) AS pair) AS text)"
        before = rows(connection, sql)
        connection.rollback()
        ground.observe("ALTER TYPE pair ADD ATTRIBUTE b text")
        after = "SELECT CAST(CAST(ROW(1, 'x') AS pair) AS text)"
        return [before, ground.attempt(rows, connection, after)]


def search_path_changed(ground: Ground) -> object:
    """The same text means another table."""
    ground.observe(
        f"CREATE SCHEMA {ground.schema}_b;"
        f"CREATE TABLE {ground.schema}_b.item AS SELECT 7 AS id"
    )
    try:
        with ground.engine.connect() as connection:
            for _ in range(_OFTEN):
                rows(connection, "SELECT id FROM item")
            run(connection, f"SET search_path = {ground.schema}_b")
            return ground.attempt(rows, connection, "SELECT id FROM item")
    finally:
        ground.observe(f"DROP SCHEMA {ground.schema}_b CASCADE")


@cases("DISCARD ALL", "DEALLOCATE ALL")
def forgotten_by_the_server(ground: Ground, sql: str) -> object:
    """Prepared statements that the server was told to forget."""
    engine = ground.engine.execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for _ in range(_OFTEN):
            rows(connection, "SELECT 1")
        ground.attempt(lambda: connection.exec_driver_sql(sql) and None)
        return [ground.attempt(rows, connection, "SELECT 1") for _ in range(2)]


def rolled_back_table(ground: Ground) -> object:
    """A table that was made, used, and rolled back."""
    with ground.engine.connect() as connection:
        run(connection, "CREATE TABLE made (x int)")
        for _ in range(_OFTEN):
            rows(connection, "SELECT * FROM made")
        connection.rollback()
        told = ground.attempt(rows, connection, "SELECT * FROM made")
        connection.rollback()
        run(connection, "CREATE TABLE made (x int, y int)")
        return [told, ground.attempt(rows, connection, "SELECT * FROM made")]


def error_in_a_prepared_statement(ground: Ground) -> object:
    """A prepared statement that fails is prepared still."""
    with ground.engine.connect() as connection:
        for _ in range(_OFTEN):
            rows(connection, "SELECT 1 / CAST(:x AS int)", x=1)
        told = ground.attempt(
            lambda: rows(connection, "SELECT 1 / CAST(:x AS int)", x=0)
        )
        connection.rollback()
        return [told, rows(connection, "SELECT 1 / CAST(:x AS int)", x=1)]


def reflected(ground: Ground) -> object:
    """What inspect() finds."""
    ground.observe(
        "CREATE TABLE r (id serial PRIMARY KEY, i int REFERENCES item, t text)"
    )
    with ground.engine.connect() as connection:
        found = inspect(connection)
        columns = [[one["name"], str(one["type"])] for one in found.get_columns("r")]
        keys = [one["constrained_columns"] for one in found.get_foreign_keys("r")]
        return [sorted(found.get_table_names()), columns, keys]


def table_made_by_metadata(ground: Ground) -> object:
    """create_all() with an enum, twice."""
    metadata = MetaData()
    kind: Any = ENUM("ok", name="feeling")
    table = Table("made", metadata, Column("x", kind), Column("t", Text))
    with ground.engine.begin() as connection:
        metadata.create_all(connection)
        metadata.create_all(connection)
        add(connection, 4)
        connection.execute(table.insert(), {"x": "ok", "t": "t"})
    with ground.engine.begin() as connection:
        return connection.execute(select(table)).all()
