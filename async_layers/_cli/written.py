"""What is written of a fact, for each database and driver, without a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from async_layers.parity import PARTS

if TYPE_CHECKING:
    from async_layers._proof.facts import Expectation, Fact


class Half(NamedTuple):
    """Where one function of a pair runs."""

    database: str
    world: str
    driver: str

    def __str__(self) -> str:
        """Return the driver, and the world of one that is at home in both."""
        if self.driver == "psycopg" and self.world == "async":
            return "psycopg asyncio"
        return self.driver


PAIRS = (
    (Half("sqlite", "sync", "sqlite3"), Half("sqlite", "async", "aiosqlite")),
    (Half("postgresql", "sync", "psycopg"), Half("postgresql", "async", "asyncpg")),
    (Half("postgresql", "sync", "psycopg"), Half("postgresql", "async", "psycopg")),
)
_DATABASES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


class Written(NamedTuple):
    """What is written of some halves alike; `where` names them."""

    where: str
    halves: tuple[Half, ...]
    expected: Expectation


# The name of each part that differs, and both sides of it.
Parts: TypeAlias = tuple[tuple[str, str, str], ...]


class Declared(NamedTuple):
    """A difference that is written: between which halves, why, and of what."""

    where: str
    why: str
    parts: Parts


def expected(fact: Fact, half: Half) -> Expectation:
    """Return what is written of one half."""
    return fact.expected(*half)


def halves_of(fact: Fact) -> tuple[Half, ...]:
    """Return the halves that a fact has on its databases, each once."""
    halves = dict.fromkeys(half for pair in PAIRS for half in pair)
    return tuple(half for half in halves if half.database in fact.databases)


def written(fact: Fact, halves: tuple[Half, ...], *parts: str) -> list[Written]:
    """Return what is written of halves, once for all that share the given parts."""
    groups = dict[tuple[str, ...], list[Half]]()
    for half in halves:
        key = tuple(getattr(expected(fact, half), part) for part in parts)
        groups.setdefault(key, []).append(half)
    known = halves_of(fact)
    return [
        Written(_named(tuple(group), known), tuple(group), expected(fact, group[0]))
        for group in groups.values()
    ]


def _named(group: tuple[Half, ...], known: tuple[Half, ...]) -> str:
    """Name halves by what they have in common, where that is all of it."""
    if group == known:
        return "everywhere"
    for database, name in _DATABASES.items():
        if group == tuple(half for half in known if half.database == database):
            return name
    for world, name in (("sync", "blocking"), ("async", "asyncio")):
        if group == tuple(half for half in known if half.world == world):
            return name
    return ", ".join(map(str, group))


def declared(
    fact: Fact, database: str | None = None, driver: str | None = None
) -> list[Declared]:
    """Return the differences that are written, on one database or on all."""
    found = dict[tuple[str, Parts], list[str]]()
    for sync, asyncio in PAIRS:
        if sync.database not in fact.databases or database not in {None, sync.database}:
            continue
        if driver not in {None, asyncio.driver}:
            continue
        left, right = expected(fact, sync), expected(fact, asyncio)
        parts: Parts = tuple(
            (part, getattr(left, part), getattr(right, part))
            for part in PARTS
            if getattr(left, part) != getattr(right, part)
        )
        why = right.differs or left.differs
        if why:
            found.setdefault((why, parts), []).append(f"{sync} | {asyncio}")
    known = sum(sync.database in fact.databases for sync, _ in PAIRS)
    return [
        Declared("everywhere" if len(where) == known else ", ".join(where), *key)
        for key, where in found.items()
    ]
