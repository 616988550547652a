"""Every fact holds on every database that it is a fact of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from async_layers._proof.facts import ROOMS, Fact, load_facts
from async_layers.parity import prove

if TYPE_CHECKING:
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
