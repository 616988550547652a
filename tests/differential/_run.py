"""Run a scenario on a side, in its world."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from tests.differential._catalogue import scenarios
from tests.differential._ground import Ground
from tests.differential._outcome import Outcome, Told, see
from tests.differential._server import logging_server, server_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.differential._catalogue import Scenario
    from tests.differential._server import Server
    from tests.differential._sides import Side

PATIENCE = 20.0
_NUMBERS = itertools.count(1)
_LOGGERS = ("sqlalchemy", "asyncio", "psycopg", "asyncpg")


class _Ear(logging.Handler):
    """Keep the first line of each error that is logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage().partition("\n")[0])


def outcomes_of(only: str, side: Side, url: str | None) -> dict[str, Outcome]:
    """Run the scenarios whose names have these words, on a server or one of our own.

    Two phases are left out on a server that has none.
    """
    with server_at(url) if url else logging_server() as server:
        prepares = server.prepares_transactions()
        return {
            each.name: outcome_of(each, side, server)
            for each in scenarios()
            if only in each.name
            and (prepares or not each.name.startswith("two_phase:"))
        }


def outcome_of(scenario: Scenario, side: Side, server: Server) -> Outcome:
    """Run a scenario on fresh tables and return what it came to."""
    name = f"differential_{os.getpid()}_{next(_NUMBERS)}"
    ear = _Ear()
    with warnings.catch_warnings(), _hearing(ear):
        warnings.simplefilter("ignore")
        ground = Ground(side, server, name)
        try:
            world = _asyncio if side.asyncio else _blocking
            told, left = world(scenario, ground)
            control = server.log.heard(name) if server.log else ()
            return Outcome(
                Told.of(told), ground.rows(), left, control, tuple(ear.heard)
            )
        finally:
            ground.clear()


@contextmanager
def _hearing(ear: _Ear) -> Iterator[None]:
    """Have what is logged go to an ear, and nowhere else."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(ear)
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.propagate = propagate
            logger.removeHandler(ear)


def _blocking(scenario: Scenario, ground: Ground) -> tuple[object, tuple[str, ...]]:
    told = ground.attempt(lambda: scenario.body(ground))
    left = ground.left()
    for engine in ground.opened:
        ground.attempt(engine.dispose)
    return told, left


def _asyncio(scenario: Scenario, ground: Ground) -> tuple[object, tuple[str, ...]]:
    """Run the same synchronous body in a greenlet, or the body that asyncio has."""

    async def told() -> object:
        try:
            async with asyncio.timeout(PATIENCE):
                if scenario.asyncio:
                    await greenlet_spawn(lambda: ground.engine)
                    return await scenario.asyncio(ground)
                return await greenlet_spawn(scenario.body, ground)
        except Exception as error:  # noqa: BLE001 - any error is an outcome
            return see(error)

    async def main() -> tuple[object, tuple[str, ...]]:
        found, left = await told(), ground.left()
        for engine in ground.opened:
            assert isinstance(engine, AsyncEngine)
            await ground.attempt_async(engine.dispose())
        return found, left

    return asyncio.run(main())
