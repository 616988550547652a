"""Errors that the server raises, by their SQLSTATE."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.differential._catalogue import cases
from tests.differential._ground import add

if TYPE_CHECKING:
    from tests.differential._ground import Ground

_STATES = """
    01000 02000 03000 08000 08003 08006 08P01 0A000 0B000 0L000 20000 21000 22000 22001
    22003 22007 22012 22023 22P02 23000 23001 23502 23503 23505 23514 23P01 24000 25000
    25006 25P01 25P02 25P03 26000 27000 28000 28P01 2B000 2D000 2F000 34000 38000 39000
    3B000 3D000 3F000 40000 40001 40003 40P01 42501 42601 42703 42P01 44000 53000 53100
    53300 54000 55000 55P03 57014 57P01 57P03 58000 58030 F0000 HV000 P0001 XX000 XX001
    ZZ999
"""


@cases(*_STATES.split())
def raised(ground: Ground, state: str) -> object:
    """An error of each SQLSTATE, and what it does to the block."""
    with ground.engine.begin() as connection:
        sql = f"DO $$BEGIN RAISE EXCEPTION 'raised' USING errcode = '{state}'; END$$"
        told = ground.attempt(lambda: connection.exec_driver_sql(sql) and None)
        return [told, ground.attempt(add, connection, 4)]


_REAL = {
    "not null": "INSERT INTO item (id) VALUES (NULL)",
    "unique": "INSERT INTO item VALUES (1)",
    "check": "INSERT INTO checked VALUES (-1)",
    "foreign key": "INSERT INTO checked VALUES (1, 99)",
    "restrict": "DELETE FROM item WHERE id = 3",
    "exclusion": "INSERT INTO excluded VALUES ('[1,3)'), ('[2,4)')",
    "too long": "INSERT INTO checked (s) VALUES ('abcd')",
    "division": "SELECT 1 / 0",
    "number": "SELECT CAST('abc' AS int)",
    "date": "SELECT CAST('2020-02-30' AS date)",
    "overflow": "SELECT 2147483647 + 1",
    "several rows": "SELECT (SELECT id FROM item)",
    "syntax": "SELEKT 1",
    "no table": "SELECT * FROM nothing",
    "no column": "SELECT nothing FROM item",
    "no function": "SELECT nothing(1)",
    "no type": "SELECT CAST(1 AS nothing)",
    "no schema": "CREATE TABLE nothing.x (id int)",
    "no database": "DROP DATABASE nothing",
    "duplicate table": "CREATE TABLE item (id int)",
    "duplicate column": "CREATE TABLE x (a int, a int)",
    "ambiguous": "SELECT id FROM item a, item b",
    "grouping": "SELECT id, count(*) FROM item",
    "two types": "SELECT 1 UNION SELECT 'a'",
    "invalid regex": "SELECT 'a' ~ '('",
    "bad escape": "SELECT 'a' LIKE 'a' ESCAPE 'xy'",
    "object in use": "DROP TABLE item",
    "stack": "SELECT endless(1)",
    "no savepoint": "ROLLBACK TO SAVEPOINT nothing",
    "invalid parameter": "SET work_mem = 'x'",
    "no parameter": "SET nothing = 1",
    "array": "SELECT CAST('{1,' AS int[])",
    "json": "SELECT CAST('{' AS json)",
    "bytea": "SELECT CAST('\\x0' AS bytea)",
    "encoding": "SELECT convert_from('\\xff', 'UTF8')",
    "assertion": "DO $$BEGIN ASSERT false; END$$",
    "no data": "DO $$DECLARE x int; BEGIN SELECT 1 INTO STRICT x WHERE false; END$$",
}


@cases(*_REAL)
def real(ground: Ground, name: str) -> object:
    """An error that the server has a reason for."""
    ground.observe(
        "CREATE TABLE checked (n int CHECK (n > 0), i int REFERENCES item, s char(3));"
        "INSERT INTO checked VALUES (1, 3);"
        "CREATE TABLE excluded (r int4range, EXCLUDE USING gist (r WITH &&));"
        "CREATE FUNCTION endless(int) RETURNS int LANGUAGE plpgsql"
        " AS 'BEGIN RETURN endless($1); END'"
    )
    with ground.engine.begin() as connection:
        return ground.attempt(lambda: connection.exec_driver_sql(_REAL[name]) and None)


_FIELDS = (
    *("message_primary", "message_detail", "message_hint", "severity", "sqlstate"),
    *("schema_name", "table_name", "column_name", "constraint_name", "datatype_name"),
    *("context", "statement_position", "internal_query", "source_function"),
)


@cases("not null", "unique", "check", "syntax", "no function", "division", "assertion")
def diag(ground: Ground, name: str) -> object:
    """The fields of the server's error, by psycopg's names."""
    ground.observe("CREATE TABLE checked (n int CONSTRAINT above CHECK (n > 0))")
    with ground.engine.connect() as connection:
        try:
            connection.exec_driver_sql(_REAL[name])
        except Exception as error:  # noqa: BLE001 - its fields are the outcome
            orig = getattr(error, "orig", None)
            known = getattr(orig, "diag", None)
            told = {field: getattr(known, field, "-") for field in _FIELDS}
            told["schema_name"] = told["schema_name"] == ground.schema
            return [told, getattr(orig, "sqlstate", "-")]
        return None
