"""Statements by verb and table, whoever spells them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_layers._trace.labels import label


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("INSERT INTO account (id) VALUES ($1::INTEGER)", "INSERT account"),
        ('INSERT INTO "our schema"."account" VALUES (1)', "INSERT account"),
        ("INSERT OR IGNORE INTO account VALUES (1)", "INSERT account"),
        ("UPDATE ONLY account SET id=1", "UPDATE account"),
        ("DELETE FROM account", "DELETE account"),
        ("SELECT account.id \nFROM account WHERE id = ?", "SELECT account"),
        ("SELECT 1", "SELECT"),
        ("SELECT n FROM generate_series(1, 3)", "SELECT"),
        (
            "select * from account for update skip locked",
            "SELECT account FOR UPDATE SKIP LOCKED",
        ),
        ("SELECT * FROM account FOR UPDATE NOWAIT", "SELECT account FOR UPDATE NOWAIT"),
        ("SELECT * FROM account FOR SHARE", "SELECT account FOR SHARE"),
        ("WITH a AS (SELECT 1 FROM x) SELECT * FROM a", "SELECT x"),
        ("WITH a AS (SELECT 1) INSERT INTO account SELECT * FROM a", "INSERT account"),
        ("WITH nothing", "WITH NOTHING"),
        ("CREATE TABLE IF NOT EXISTS draft (id INT)", "CREATE TABLE draft"),
        ("DROP TABLE draft", "DROP TABLE draft"),
        ("ALTER TABLE draft ADD x INT", "ALTER TABLE draft"),
        ("TRUNCATE account", "TRUNCATE account"),
        ("COPY account (id) FROM STDIN", "COPY account"),
        ("SAVEPOINT sa_savepoint_1", "SAVEPOINT 1"),
        ("SAVEPOINT mine", "SAVEPOINT mine"),
        ("ROLLBACK TO SAVEPOINT sa_savepoint_2", "ROLLBACK TO SAVEPOINT 2"),
        ("RELEASE SAVEPOINT sa_savepoint_3", "RELEASE SAVEPOINT 3"),
        ("BEGIN", "BEGIN"),
        ("BEGIN IMMEDIATE", "BEGIN IMMEDIATE"),
        ("COMMIT;", "COMMIT"),
        ("ROLLBACK", "ROLLBACK"),
        ("PREPARE TRANSACTION 'x'", "PREPARE TRANSACTION"),
        ("SET LOCAL lock_timeout = '50ms'", "SET LOCAL"),
        ("PRAGMA foreign_keys = ON", "PRAGMA foreign_keys"),
        ("SHOW transaction_isolation", "SHOW transaction_isolation"),
        ("DECLARE c CURSOR FOR SELECT * FROM account", "DECLARE account"),
        ("/* by us */ DELETE FROM account -- all", "DELETE account"),
        ("  ", ""),
        (";", ""),
    ],
)
def test_statement_has_a_name(statement: str, expected: str) -> None:
    """A statement is named by what a transaction means by it."""
    assert expected == label(statement)


@given(st.text())
def test_any_text_has_a_name_of_one_line(statement: str) -> None:
    """No text, statement or not, breaks a trace or its lines."""
    assert "\n" not in label(statement)
