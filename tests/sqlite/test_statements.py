"""What a statement is to its transaction, by its first words."""

from __future__ import annotations

import time

import pytest

from async_layers.drivers._sqlite.statements import (
    is_outside,
    reads,
    sets_foreign_keys,
)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        " \n select 1",
        "-- why\nSELECT 1",
        "/* by */ /* two */ SELECT 1",
        "VALUES (1)",
        "EXPLAIN QUERY PLAN DELETE FROM t",
        "WITH x AS (SELECT 1) SELECT * FROM x",
    ],
)
def test_read_is_known(statement: str) -> None:
    """It writes nothing, so that nothing has to be looked at afterwards."""
    assert reads(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t VALUES (1)",
        "SELECTED",
        "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
        "/* SELECT */ DELETE FROM t",
        "PRAGMA user_version",
        "",
    ],
)
def test_what_may_write_is_no_read(statement: str) -> None:
    """What is not certain counts as a write."""
    assert not reads(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "VACUUM",
        "vacuum into 'x'",
        "DETACH other",
        "BEGIN IMMEDIATE",
        "PRAGMA foreign_keys",
        "PRAGMA foreign_keys(0)",
        "PRAGMA cache_size = 10",
        "PRAGMA legacy_alter_table=ON",
        'PRAGMA "main".journal_mode = DELETE',
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "/* a job */ VACUUM",
    ],
)
def test_what_stands_alone_is_known(statement: str) -> None:
    """SQLite refuses it in a transaction, or does nothing."""
    assert is_outside(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO vacuum VALUES (1)",
        "BEGINNING",
        "PRAGMA user_version = 7",
        "PRAGMA main.application_id = 7",
        "PRAGMA defer_foreign_keys = ON",
        "PRAGMA table_info('t')",
    ],
)
def test_part_of_a_transaction_is_known(statement: str) -> None:
    """It is rolled back with the rest, or holds only there."""
    assert not is_outside(statement)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("PRAGMA foreign_keys = OFF", True),
        ("pragma main.foreign_keys(off)", True),
        ("PRAGMA foreign_keys", False),
        ("PRAGMA foreign_key_check", False),
        ("SELECT 'PRAGMA foreign_keys = OFF'", False),
    ],
)
def test_change_of_foreign_keys_is_known(statement: str, expected: object) -> None:
    """Asking is none."""
    assert sets_foreign_keys(statement) is expected


def test_many_comments_take_no_time() -> None:
    """None of them is tried in more than one way."""
    begun = time.perf_counter()
    assert reads("/* c */ " * 2000 + "SELECT 1")
    assert not is_outside("/* c */ " * 2000 + "INSERT")
    assert time.perf_counter() - begun < 1
