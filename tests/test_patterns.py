"""Every fact holds on every database that it is a fact of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from async_layers._proof.facts import ROOMS, Fact, find_fact, load_facts
from async_layers._proof.scratch import scratch
from async_layers.parity import prove

if TYPE_CHECKING:
    from collections.abc import Iterator

    from async_layers._proof.scratch import Scratch

PLACES = {"sqlite": "sqlite", "asyncpg": "postgresql", "psycopg": "postgresql"}
FACTS = load_facts()
CASES = [
    pytest.param(place, fact, id=f"{place}-{fact.name}")
    for place, database in PLACES.items()
    for fact in FACTS
    if database in fact.databases
]


@pytest.mark.parametrize(("driver", "fact"), CASES)
def test_pair_holds(driver: str, fact: Fact, request: pytest.FixtureRequest) -> None:
    """Both halves leave what is written, and the server sees it so."""
    place: Scratch = request.getfixturevalue(f"{driver}_place")
    verdict = prove(fact, place)
    if verdict.skipped:
        pytest.skip(verdict.skipped)
    assert not verdict.differences, "\n\n".join(
        f"{difference}\n{difference.side_by_side()}"
        for difference in verdict.differences
    )


# What SQLAlchemy's own dialect of asyncpg does otherwise than psycopg.
WRONG_ON_STOCK = [
    "engine.backend_ended",
    "engine.no_such_database",
    "engine.connection_refused",
    "connection.commit_in_a_text",
    "connection.commit_at_the_driver",
    "connection.begin_at_the_driver",
    "connection.savepoint_out_of_order",
    "connection.class_of_an_error",
    "connection.error_aborts_its_transaction",
    "connection.refused_value",
    "connection.read_uncommitted",
    "connection.isolation_level_asked",
    "connection.read_only_refuses_to_write",
    "connection.rowcount_of_many",
    "connection.several_statements",
    "connection.untyped_parameter",
    "connection.float_into_integer",
    "connection.text_into_integer",
    "connection.float_into_numeric",
    "connection.float_from_real",
    "connection.last_date",
    "connection.infinity",
    "connection.naive_datetime",
    "connection.stream_fails_midway",
    "connection.stream_of_an_insert",
    "connection.serializable_conflict",
    "connection.lock_nowait",
    "connection.lock_timeout",
    "connection.statement_timeout",
    "session.row_deleted_elsewhere",
    "session.unit_of_work_read_only",
]


@pytest.fixture(scope="module")
def stock_place(postgresql_url: str) -> Iterator[Scratch]:
    """Return a place whose asyncio half is SQLAlchemy's own dialect of asyncpg."""
    with scratch(postgresql_url) as place:
        place.urls["async"] = place.urls["async"].set(drivername="postgresql+asyncpg")
        yield place


@pytest.mark.parametrize("name", WRONG_ON_STOCK)
def test_stock_dialect_is_caught(name: str, stock_place: Scratch) -> None:
    """A fact that holds on our dialect does not hold on SQLAlchemy's own."""
    assert prove(find_fact(name), stock_place).differences


def test_every_room_has_facts() -> None:
    """The facts are many, and each room has its share."""
    by_room = {room: sum(fact.room == room for fact in FACTS) for room in ROOMS}
    assert min(by_room.values()) >= 12
    assert sum(by_room[room] for room in ROOMS[:3]) >= 70


def test_every_sentence_is_one_sentence() -> None:
    """A docstring is one sentence, the same in both worlds."""
    for fact in FACTS:
        assert fact.sentence.endswith("."), fact.name
        assert ". " not in fact.sentence, fact.name
        assert fact.blocking.__doc__ == fact.asyncio.__doc__, fact.name


def test_every_difference_says_what_to_write_instead() -> None:
    """A fact in which the worlds must differ says why, and what to write."""
    for fact in load_facts("differences"):
        differs = "differs" in str(fact.written)
        assert differs == bool(fact.instead), fact.name
