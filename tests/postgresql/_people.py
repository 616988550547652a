"""A table of people in a test's schema, mapped or not, and what others see of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from sqlalchemy.orm import registry

if TYPE_CHECKING:
    from typing import Any

    import psycopg
    from sqlalchemy import Insert

    Observer = psycopg.Connection[Any]


class People:
    """A table, made by the observer, who also looks into it."""

    def __init__(self, observer: Observer, schema: str) -> None:
        """Make the table, with a column for versions beside the name."""
        self.observer = observer
        self.schema = schema
        self.table = Table(
            "person",
            MetaData(schema=schema),
            Column("id", Integer, primary_key=True, autoincrement=False),
            Column("name", String),
            Column("version", Integer),
        )
        self.tell("CREATE TABLE person (id int PRIMARY KEY, name text, version int)")

    def add(self, count: int) -> None:
        """Add so many people, from 1 on, all of one name and of version 1."""
        numbers = f"generate_series(1, {count})"
        self.tell(f"INSERT INTO person SELECT n, 'anna', 1 FROM {numbers} AS n")  # noqa: S608 - a number of ours

    def tell(self, statements: str) -> None:
        """Run statements where the names of tables mean those of the schema."""
        with self.observer.transaction():
            self.observer.execute(f"SET LOCAL search_path = {self.schema}".encode())
            self.observer.execute(statements.encode())

    def names(self) -> list[str]:
        """Return the names that others see."""
        table = f"{self.schema}.person"
        query = f"SELECT name FROM {table} ORDER BY id"  # noqa: S608 - a name of ours
        rows: list[tuple[str]] = self.observer.execute(query.encode()).fetchall()
        return [name for (name,) in rows]

    def insert(self, name: str) -> Insert:
        """Return the INSERT of one person, whose number follows from the name."""
        return insert(self.table).values(id=ord(name[0]), name=name)

    def tables(self) -> list[str]:
        """Return the tables of the schema that others see."""
        found = self.observer.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s", [self.schema]
        )
        rows: list[tuple[str]] = found.fetchall()
        return [name for (name,) in rows]

    def locks(self) -> int:
        """Return how many locks others have on the table."""
        found = self.observer.execute(
            "SELECT count(*) FROM pg_locks WHERE relation = %s::regclass",
            [f"{self.schema}.person"],
        )
        row: tuple[int] | None = found.fetchone()
        return row[0] if row else 0

    def mapped(self, *, versioned: bool = False) -> type[Any]:
        """Return a new class that is mapped to the table."""
        version = {"version_id_col": self.table.c.version} if versioned else {}
        person = type("Person", (), {})
        registry().map_imperatively(person, self.table, **version)
        return person


def state_of(observer: Observer, pid: int) -> str | None:
    """Return the state of a backend, such as "idle in transaction"; None: it ended."""
    found = observer.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [pid])
    row: tuple[str] | None = found.fetchone()
    return row and row[0]


def ends(observer: Observer, pid: int) -> bool:
    """Say whether a backend is gone, within some seconds: it ends when it likes."""
    deadline = time.monotonic() + 5
    while state_of(observer, pid) is not None:
        if time.monotonic() > deadline:
            return False
    return True
