"""A session that joins a transaction which somebody else began."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side
    from tests.postgresql._people import People

    Mode = Literal[
        "conditional_savepoint", "rollback_only", "control_fully", "create_savepoint"
    ]

ENDS = ("commit", "rollback", "close")


def joined(people: People, mode: Mode, end: str, connection: Connection) -> None:
    """Let a session add dora to the transaction in which carl is, and end."""
    outer = connection.begin()
    connection.execute(people.insert("carl"))
    session = Session(connection, join_transaction_mode=mode)
    session.execute(people.insert("dora"))
    getattr(session, end)()
    session.close()
    if outer.is_active:
        outer.commit()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("conditional_savepoint", [["carl", "dora"], [], ["carl", "dora"]]),
        ("rollback_only", [["carl", "dora"], [], ["carl", "dora"]]),
        ("control_fully", [["carl", "dora"], [], []]),
        ("create_savepoint", [["carl", "dora"], ["carl"], ["carl"]]),
    ],
)
def test_end_of_a_session_does_what_its_mode_says(
    side: Side, people: People, mode: Mode, expected: list[list[str]]
) -> None:
    """What stays after a commit, a rollback and a close of the session."""
    found: list[list[str]] = []
    for end in ENDS:
        people.tell("TRUNCATE person")
        side.run(lambda connection, end=end: joined(people, mode, end, connection))  # type: ignore[misc]
        found.append(people.names())
    assert expected == found


def test_session_in_a_savepoint_takes_one_of_its_own(
    side: Side, people: People
) -> None:
    """A rollback of the session leaves what the savepoint around it holds."""

    def body(connection: Connection) -> None:
        with connection.begin(), connection.begin_nested():
            connection.execute(people.insert("carl"))
            with Session(connection) as session:
                session.execute(people.insert("dora"))
                session.rollback()

    side.run(body)
    assert ["carl"] == people.names()


def test_session_leaves_the_end_to_others(side: Side, people: People) -> None:
    """A commit of the session is none where the transaction around is rolled back."""

    def body(connection: Connection) -> None:
        outer = connection.begin()
        for mode in ("rollback_only", "create_savepoint"):
            with Session(connection, join_transaction_mode=mode) as session:
                session.execute(people.insert(mode))
                session.commit()
        outer.rollback()

    side.run(body)
    assert [] == people.names()
