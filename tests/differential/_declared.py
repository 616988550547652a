"""Where our asyncio dialect is known to differ from psycopg, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.differential._outcome import Category

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Reason -> how the names of its scenarios begin.
DECLARED: dict[str, tuple[str, ...]] = {
    "refused by both dialects of ours, unless the options say otherwise": (
        "texts: control in text [",
        "texts: several in text [",
        "texts: several with parameters",
    ),
    "of several statements asyncpg returns no rows": (
        "texts: several in text allowed [selects]",
        "texts: several in text allowed [insert and select]",
        "texts: several by driver [selects]",
        "texts: several by driver [insert and select]",
    ),
    "what needs an await cannot be read from an attribute": (
        "sessions: lazy load",
        "sessions: expired attribute",
    ),
    "AsyncConnection has stream() for it": ("streams: of the connection",),
    "asyncio's pools have classes of their own": ("pools: pool given [QueuePool]",),
    "raw text gives asyncpg's types; typed columns are equal": (
        "values: read ['{[1,2)}'::int4multirange]",
        "values: read [B'101']",
        "values: read [point",
        "values: read [box",
        "values: read ['<(1,2),3>'::circle]",
        "values: read [row(",
        "values: read [array[row(",
        "values: read ['a'::\"char\"]",
        "values: read ['1'::xid]",
        "values: read ['0/10'::pg_lsn]",
        "values: read ['(0,1)'::tid]",
        'values: read [\'"a"=>"1"\'::public.hstore]',
    ),
    "an error while connecting keeps the SQLSTATE that psycopg loses": (
        "connections: not to be had [wrong user]",
        "connections: not to be had [wrong database]",
        "connections: startup parameter refused",
    ),
    "an executemany keeps the SQLSTATE that psycopg's pipeline loses": (
        "connections: ended in executemany",
    ),
    "the dialect casts the parameter, psycopg leaves that to the assignment": (
        "wrong_types: stored [bool into numeric]",
        "wrong_types: stored [int into interval]",
    ),
    "psycopg's own error is none of a driver": (
        "wrong_types: stored [dict into text]",
        "texts: untyped [dict]",
        "batches: inserted untyped [documents]",
        "values: stored [text, surrogate]",
    ),
    "JSON and bytes are made before the driver sees them": (
        "wrong_types: stored [set into json]",
        "wrong_types: stored [text into bytea]",
        "wrong_types: stored [int into bytea]",
    ),
    "a NUL in a text is refused by the server, by psycopg before it is sent": (
        "values: stored [text, NUL]",
        "batches: inserted [a NUL]",
        "batches: inserted in autocommit [a NUL]",
        "batches: inserted untyped [a NUL]",
        "batches: inserted returning [a NUL]",
    ),
    "asyncpg counts parameters to 32767": ("failures: too many parameters",),
    "a count outlives its cursor; psycopg's is forgotten with it": (
        "counts: executemany of insert",
        "counts: upsert counts",
    ),
    "a batch with a value of no type is refused before any of it is sent": (
        "batches: inserted [one is an object]",
        "batches: inserted untyped [one is an object]",
    ),
    "an executemany is all or nothing in autocommit too, by a BEGIN where it must": (
        "batches: inserted in autocommit [",
    ),
    "a type that was made again is asked for once more": ("plans: type made again",),
}


def reason_for(name: str) -> str | None:
    """Return why a scenario is allowed to differ, if it is."""
    found = (why for why, begins in DECLARED.items() if name.startswith(begins))
    return next(found, None)


def undeclared(found: Mapping[str, Category]) -> Iterator[str]:
    """Yield the scenarios that differ for no reason that is declared."""
    for name, category in found.items():
        if category > Category.COSMETIC and reason_for(name) is None:
            yield name


def unused(found: Mapping[str, Category]) -> Iterator[str]:
    """Yield the declared beginnings of which no scenario differs any more."""
    for begin in (each for begins in DECLARED.values() for each in begins):
        known = [name for name in found if name.startswith(begin)]
        if known and all(found[name] is Category.IDENTICAL for name in known):
            yield begin
