"""Facts are read whole, or refused."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from async_layers._proof import facts
from async_layers._proof.facts import Fact, find_fact, load_facts

if TYPE_CHECKING:
    from pathlib import Path

BLOCKING = '''
def one(engine):
    """One."""

def two(engine):
    """Two."""

def _shared():
    pass
'''


def one(engine: object) -> None:
    """Stand for a function of a fact."""


def written(**tables: object) -> Fact:
    return Fact("session.one", "session", "One.", one, one, tables)


def test_particular_overrides_the_general() -> None:
    """Database, world and driver follow each other, the last one wins."""
    fact = written(
        result="base",
        trace="a\n",
        sqlite={"result": "sqlite"},
        sync={"trace": "b"},
        aiosqlite={"rows": "c"},
        psycopg_async={"pool": "1 out"},
    )
    assert ("sqlite", "b", "", "0 out") == _texts(fact, "sqlite", "sync", "sqlite3")
    assert ("sqlite", "a", "c", "0 out") == _texts(fact, "sqlite", "async", "aiosqlite")
    assert ("base", "b", "", "0 out") == _texts(fact, "postgresql", "sync", "psycopg")
    assert ("base", "a", "", "1 out") == _texts(fact, "postgresql", "async", "psycopg")


def _texts(fact: Fact, *where: str) -> tuple[str, str, str, str]:
    expected = fact.expected(*where)
    return expected.result, expected.trace, expected.rows, expected.pool


def test_drivers_class_goes_with_an_error() -> None:
    """A driver's class is read only where an error is written."""
    errors = {"asyncpg": "UniqueViolationError"}
    fact = written(driver_errors=errors, asyncpg={"error": "IntegrityError 23505"})
    found = fact.expected("postgresql", "async", "asyncpg")
    assert "UniqueViolationError" == found.driver_error
    assert not fact.expected("postgresql", "sync", "psycopg").driver_error


def test_what_is_not_written_has_a_default() -> None:
    """A fact is one of both databases, in one order, and needs nothing."""
    fact = written()
    assert ("sqlite", "postgresql") == fact.databases
    assert ("", "", False) == (fact.instead, fact.needs, fact.by_connection)
    assert "engine" == fact.argument()
    assert ("None", "", "0 out") == (
        fact.expected("sqlite", "sync", "sqlite3").result,
        fact.expected("sqlite", "sync", "sqlite3").error,
        fact.expected("sqlite", "sync", "sqlite3").pool,
    )


def test_fact_is_found_by_either_name() -> None:
    """A name with or without its room finds the fact."""
    found = find_fact("connection.raise_inside")
    assert found.name == find_fact("raise_inside").name
    assert found in [fact for fact in load_facts("connection") if fact == found]


@pytest.mark.parametrize("name", ["nothing", "connection.", ""])
def test_unknown_name_is_refused(name: str) -> None:
    """A name that no fact has is refused in one sentence."""
    with pytest.raises(LookupError, match="seen no such fact; write a name"):
        find_fact(name)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a folder whose `planted.toml` is read beside two planted modules."""
    for name in ("planted", "planted_async"):
        full = f"async_layers.patterns.{name}"
        module = ModuleType(full)
        exec(BLOCKING, module.__dict__)  # noqa: S102 - the test's own text
        monkeypatch.setitem(sys.modules, full, module)
    monkeypatch.setattr(facts.resources, "files", lambda _: tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("[one]\n[two]\n", ""),
        ("[one]\n", "planted: two is missing: written"),
        ("[one]\n[two]\n[three]\n", "planted: three is missing: blocking, asyncio"),
        ("[two]\n[one]\n", "planted: the names stand in different orders"),
        ("[one]\nrow = 1\n[two]\n", r"planted.one: nobody reads \['row'\]"),
        ("[one]\n[two.sync]\nneeds = 1\n", r"planted.two: nobody reads \['needs'\]"),
    ],
)
def test_room_is_read_whole(room: Path, written: str, message: str) -> None:
    """A pair that is not whole, and a key that nobody reads, are refused."""
    (room / "planted.toml").write_text(written, encoding="utf-8")
    if not message:
        names = [fact.name for fact in load_facts("planted")]  # type: ignore[arg-type]
        assert ["planted.one", "planted.two"] == names
        return
    with pytest.raises(ValueError, match=message):
        load_facts("planted")  # type: ignore[arg-type]
