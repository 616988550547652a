"""A listener of an engine's COMMIT or ROLLBACK may await what it likes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.util import await_only

from async_layers import Outcome, async_transaction
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import CARL, DORA, async_engine_on, fresh, names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

TO_NOBODY = text("INSERT INTO letter VALUES (1, 5)")


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    """Return another file, for what is written down of the first."""
    (tmp_path / "audit").mkdir()
    return fresh(tmp_path / "audit")


@asynccontextmanager
async def audited(name: str, file: Path, audit: Path) -> AsyncIterator[AsyncEngine]:
    """Lend an engine of a file; at an event of its own it writes to another one."""
    async with async_engine_on(OURS, audit) as other:
        async with async_engine_on(OURS, file) as engine:

            def write(_: object) -> None:
                with other.sync_engine.begin() as connection:
                    connection.execute(DORA)

            event.listen(engine.sync_engine, name, write)
            yield engine


async def test_listener_of_commit_commits_elsewhere(
    tmp_path: Path, audit: Path
) -> None:
    """One COMMIT stands in another, each on its own connection."""
    file = fresh(tmp_path)
    async with audited("commit", file, audit) as engine:
        scope = async_transaction(engine)
        async with scope as connection:
            await connection.execute(CARL)
    assert Outcome.COMMITTED is scope.outcome
    assert (["carl"], ["dora"]) == (names(file), names(audit))


async def test_listener_of_rollback_commits_elsewhere(
    tmp_path: Path, audit: Path
) -> None:
    """What was tried and rolled back is written down."""
    file = fresh(tmp_path)
    async with audited("rollback", file, audit) as engine:
        scope = async_transaction(engine)
        with pytest.raises(LookupError):
            async with scope as connection:
                await connection.execute(CARL)
                raise LookupError
    assert Outcome.ROLLED_BACK is scope.outcome
    assert ([], ["dora"]) == (names(file), names(audit))


async def test_listener_of_commit_has_a_time_of_its_own(tmp_path: Path) -> None:
    """Its time is over, and it goes on: nobody else has been cancelled."""

    async def wait() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()

    def listen(_: Connection) -> None:
        await_only(wait())

    file, options = fresh(tmp_path), {"finish_within": 0.1}
    async with async_engine_on(OURS, file, execution_options=options) as engine:
        event.listen(engine.sync_engine, "commit", listen)
        scope = async_transaction(engine)
        async with scope as connection:
            await connection.execute(CARL)
    task = asyncio.current_task()
    assert task is not None
    assert 0 == task.cancelling()
    assert (Outcome.COMMITTED, ["carl"]) == (scope.outcome, names(file))


async def test_listener_of_errors_commits_elsewhere(
    tmp_path: Path, audit: Path
) -> None:
    """It hears of a COMMIT that is refused, and the refusal travels on."""
    file = fresh(tmp_path)
    async with audited("handle_error", file, audit) as engine:
        scope = async_transaction(engine)
        with pytest.raises(IntegrityError):
            async with scope as connection:
                await connection.execute(TO_NOBODY)
    assert (Outcome.ROLLED_BACK, ["dora"]) == (scope.outcome, names(audit))
