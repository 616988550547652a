"""Transactions that are prepared and not ended, and none of them left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.postgresql._people import People

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgresql._people import Observer


@pytest.fixture
def people(observer: Observer, schema: str) -> Iterator[People]:
    """Return an empty table of people, and roll back what a test left prepared."""
    row: tuple[str] | None = observer.execute(
        "SHOW max_prepared_transactions"
    ).fetchone()
    if row == ("0",):
        pytest.skip("the server's max_prepared_transactions is 0")
    yield People(observer, schema)
    for gid in prepared(observer, schema):
        observer.execute(f"ROLLBACK PREPARED '{gid}'".encode())


def prepared(observer: Observer, schema: str) -> list[str]:
    """Return the transactions of a test that are prepared and not ended."""
    rows: list[tuple[str]] = observer.execute(
        "SELECT gid FROM pg_prepared_xacts WHERE gid LIKE %s", [f"{schema} %"]
    ).fetchall()
    return [gid for (gid,) in rows]
