"""How a list of requirements says what its database has, and what it lacks."""

from __future__ import annotations

from sqlalchemy.testing import exclusions


def lacks(reason: str) -> property:
    """Skip the tests of what a database lacks, or SQLAlchemy's part of it."""
    return property(
        lambda _: exclusions.closed(reason)  # type: ignore[no-untyped-call] # SQLAlchemy's
    )


def only_on(which: str) -> property:
    """Run the tests of something that a version of a database has, or a driver."""
    return property(
        lambda _: exclusions.only_on(which)  # type: ignore[no-untyped-call] # SQLAlchemy's
    )


HAS = property(
    lambda _: exclusions.open()  # type: ignore[no-untyped-call] # SQLAlchemy's
)
