"""The helpers by which threads transfer: each notes what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from async_layers import (
    on_commit,
    run_transaction,
    run_unit_of_work,
    sessionmaker,
    transaction,
    unit_of_work,
)
from tests.faults._load import RETRY, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import Session

    from tests.faults._bank import Step
    from tests.faults._book import Attempt

Way: TypeAlias = "Callable[[Engine, Attempt, list[Step]], None]"


def by_transaction(engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
    """Transfer in a transaction of the connection."""
    scope = transaction(engine, deadline=attempt.deadline)
    _note(attempt, scope, lambda: _in(scope, attempt, steps))


def by_unit_of_work(engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
    """Transfer in a transaction of a session."""
    scope = unit_of_work(sessionmaker(engine), deadline=attempt.deadline)
    _note(attempt, scope, lambda: _in(scope, attempt, steps))


def by_run_transaction(engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
    """Transfer in a transaction of the connection that is run again."""
    with told(attempt):
        run_transaction(
            engine, _do, attempt, steps, retry=RETRY, deadline=attempt.deadline
        )


def by_run_unit_of_work(engine: Engine, attempt: Attempt, steps: list[Step]) -> None:
    """Transfer in a transaction of a session that is run again."""
    with told(attempt):
        run_unit_of_work(
            sessionmaker(engine),
            _do,
            attempt,
            steps,
            retry=RETRY,
            deadline=attempt.deadline,
        )


def _note(attempt: Attempt, scope: Any, transfer: Callable[[], None]) -> None:
    try:
        transfer()
    finally:
        attempt.outcome = scope.outcome and scope.outcome.value


def _in(scope: Any, attempt: Attempt, steps: list[Step]) -> None:
    with scope as opened:
        _do(opened, attempt, steps)


def _do(opened: Connection | Session, attempt: Attempt, steps: list[Step]) -> None:
    on_commit(opened, attempt.hear)
    for statement, parameters in steps:
        opened.execute(statement, parameters)


WAYS: tuple[Way, ...] = (
    by_transaction,
    by_unit_of_work,
    by_run_transaction,
    by_run_unit_of_work,
)
