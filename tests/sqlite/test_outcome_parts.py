"""How the parts of a transaction end: savepoints, connections, single statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, SAWarning

from async_layers import (
    Outcome,
    savepoint,
    sessionmaker,
    transaction,
    unit_of_work,
)
from async_layers._layers.connection import LayersConnection
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import CARL, DORA, engine_on, fresh, names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

AUTOCOMMIT = {"isolation_level": "AUTOCOMMIT"}
TO_NOBODY = text("INSERT INTO letter VALUES (1, 5)")

# What SQLAlchemy makes of it: it rolls back the one that was committed, too.
ALREADY = "transaction already deassociated from connection"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with an empty table of people."""
    return fresh(tmp_path)


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    """Return an engine of the file."""
    with engine_on(OURS, file) as opened:
        yield opened


# --- savepoints


def test_savepoint_has_no_outcome_in_its_block(engine: Engine) -> None:
    """It may still be released, or rolled back to."""
    with transaction(engine) as connection:
        scope = savepoint(connection)
        with scope:
            assert scope.outcome is None
    assert Outcome.RELEASED is scope.outcome


def test_savepoint_is_rolled_back_by_hand(engine: Engine, file: Path) -> None:
    """The block is left as any other, and nothing of it is there."""
    with transaction(engine) as connection:
        scope = savepoint(connection)
        with scope as nested:
            connection.execute(CARL)
            nested.rollback()
    assert (Outcome.ROLLED_BACK, []) == (scope.outcome, names(file))


def test_savepoint_is_released_by_hand(engine: Engine, file: Path) -> None:
    """An exception comes too late to undo it, and says so."""
    with transaction(engine) as connection:
        scope = savepoint(connection)
        with pytest.raises(LookupError) as caught, scope as nested:
            connection.execute(CARL)
            nested.commit()
            raise LookupError
    assert ["The savepoint was released."] == caught.value.__notes__
    assert (Outcome.RELEASED, ["carl"]) == (scope.outcome, names(file))


def test_savepoint_ends_with_its_transaction(engine: Engine, file: Path) -> None:
    """To roll back all rolls back the savepoint."""
    with engine.connect() as connection:
        connection.begin()
        scope = savepoint(connection)
        with scope:
            connection.execute(CARL)
            connection.rollback()
    assert (Outcome.ROLLED_BACK, []) == (scope.outcome, names(file))


# --- several connections


def test_connections_that_do_not_end_alike_are_told(
    engine: Engine, file: Path, tmp_path: Path
) -> None:
    """One has committed, and the other one's COMMIT is refused."""
    begun = list[object]()

    def spoil(connection: Connection) -> None:
        begun.append(connection)
        if len(begun) == 2:  # whichever it is: a session has no order
            connection.execute(TO_NOBODY)

    def work() -> None:
        with scope as session:
            for each in (engine, second):
                event.listen(each, "commit", spoil)
                session.execute(CARL, bind_arguments={"bind": each})

    (tmp_path / "other").mkdir()
    with engine_on(OURS, other := fresh(tmp_path / "other")) as second:
        scope = unit_of_work(sessionmaker(engine))
        with pytest.raises(IntegrityError) as caught:
            with pytest.warns(SAWarning, match=ALREADY):
                work()
    assert [
        "The outcome of the transaction is unknown: its connections did not end alike."
    ] == caught.value.__notes__
    assert Outcome.UNKNOWN is scope.outcome
    assert ["carl"] == names(file) + names(other)


# --- each statement by itself


def test_unit_of_work_in_autocommit_has_no_outcome(engine: Engine, file: Path) -> None:
    """What it has written stays, and nobody says that it was rolled back."""
    scope = unit_of_work(sessionmaker(engine))
    with pytest.raises(LookupError) as caught, scope as session:
        session.connection(execution_options=AUTOCOMMIT)
        session.execute(CARL)
        raise LookupError
    assert [] == getattr(caught.value, "__notes__", [])
    assert (None, ["carl"]) == (scope.outcome, names(file))


def test_rollback_on_an_engine_in_autocommit_has_no_outcome(file: Path) -> None:
    """The level of the engine counts as that of a connection does."""
    with engine_on(OURS, file, **AUTOCOMMIT) as engine:
        with engine.connect() as connection:
            assert isinstance(connection, LayersConnection)
            connection.begin()
            connection.execute(DORA)
            connection.rollback()
            assert (None, ["dora"]) == (connection.outcome, names(file))


# --- what the block may do to its session


def test_block_may_empty_the_info_of_its_session(engine: Engine) -> None:
    """The exception that leaves the block is its own, with the outcome."""
    scope = unit_of_work(sessionmaker(engine))
    with pytest.raises(LookupError, match="mine") as caught, scope as session:
        session.execute(CARL)
        session.info.clear()
        raise LookupError("mine")
    assert ["The transaction was rolled back."] == caught.value.__notes__
    assert Outcome.ROLLED_BACK is scope.outcome
