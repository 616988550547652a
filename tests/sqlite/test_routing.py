"""A session that chooses its engine by itself, one of SQLAlchemy's own.

Source: https://docs.sqlalchemy.org/en/21/orm/persistence_techniques.html, "Custom
Vertical Partitioning".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy.orm
from sqlalchemy.orm import Session

from async_layers import Outcome, on_commit, run_unit_of_work, unit_of_work
from tests.sqlite._ground import CARL, engine_on, fresh, names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with an empty table of people."""
    return fresh(tmp_path)


@pytest.fixture
def factory(file: Path) -> Iterator[sqlalchemy.orm.sessionmaker[Session]]:
    """Return a factory of sessions that find their engine when they need it."""
    with engine_on("pysqlite", file) as engine:

        class Routing(Session):
            def get_bind(self, *_: Any, **__: Any) -> Engine:
                return engine

        yield sqlalchemy.orm.sessionmaker(class_=Routing)


def test_outcome_is_known(
    factory: sqlalchemy.orm.sessionmaker[Session], file: Path
) -> None:
    """It is that of the connection which the session chose."""
    scope = unit_of_work(factory)
    with scope as session:
        session.execute(CARL)
    assert (Outcome.COMMITTED, ["carl"]) == (scope.outcome, names(file))


def test_hook_runs(factory: sqlalchemy.orm.sessionmaker[Session]) -> None:
    """The COMMIT is one of ours, and has its hooks."""
    told = list[int]()
    with unit_of_work(factory) as session:
        session.execute(CARL)
        on_commit(session, told.append, 1)
    assert [1] == told


def test_result_is_returned(
    factory: sqlalchemy.orm.sessionmaker[Session], file: Path
) -> None:
    """What was committed is not taken for rolled back."""

    def function(session: Session) -> str:
        session.execute(CARL)
        return "done"

    assert "done" == run_unit_of_work(factory, function)
    assert ["carl"] == names(file)


def test_result_is_returned_where_others_end_the_transaction(file: Path) -> None:
    """A session that chooses a connection of its caller's knows no outcome."""

    def function(session: Session) -> str:
        session.execute(CARL)
        return "done"

    with engine_on("pysqlite", file) as engine, engine.begin() as connection:

        class Routing(Session):
            def get_bind(self, *_: Any, **__: Any) -> Connection:
                return connection

        factory = sqlalchemy.orm.sessionmaker(class_=Routing)
        assert "done" == run_unit_of_work(factory, function)
    assert ["carl"] == names(file)
