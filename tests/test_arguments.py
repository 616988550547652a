"""Helpers refuse what is no engine, factory or time, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.exc import ArgumentError, InvalidRequestError

from async_layers import (
    async_engine_scope,
    async_read,
    async_stream,
    async_transaction,
    async_unit_of_work,
    create_engine,
    engine_scope,
    read,
    stream,
    transaction,
    unit_of_work,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

ONE = text("SELECT 1")
BLOCKING: list[Callable[[Any], Any]] = [
    transaction,
    read,
    lambda engine: stream(engine, ONE),
]
ASYNCIO: list[Callable[[Any], Any]] = [
    async_transaction,
    async_read,
    lambda engine: async_stream(engine, ONE),
]


@pytest.mark.parametrize("helper", BLOCKING)
async def test_blocking_helper_wants_a_blocking_engine(
    helper: Callable[[Any], Any], sqlite_url: str
) -> None:
    """A URL and an engine of the other world are refused, and told what to write."""
    async with async_engine_scope(sqlite_url) as engine:
        for wrong in (engine, sqlite_url):
            with pytest.raises(ArgumentError, match=r"write one of create_engine\(\)"):
                with helper(wrong):
                    pass


@pytest.mark.parametrize("helper", ASYNCIO)
async def test_asyncio_helper_wants_an_asyncio_engine(
    helper: Callable[[Any], Any], sqlite_url: str
) -> None:
    """A URL and an engine of the other world are refused, and told what to write."""
    with engine_scope(sqlite_url) as engine:
        for wrong in (engine, sqlite_url):
            with pytest.raises(ArgumentError, match="write one of create_async_engine"):
                async with helper(wrong):
                    pass


async def test_unit_of_work_wants_a_factory(sqlite_url: str) -> None:
    """An engine is none."""
    with engine_scope(sqlite_url) as engine:
        wrong: Any = engine
        with pytest.raises(ArgumentError, match="A factory is refused: seen"):
            with unit_of_work(wrong):
                pass
        with pytest.raises(ArgumentError, match="A factory is refused: seen"):
            async with async_unit_of_work(wrong):
                pass


WRONG_TIMES = ["5", None, 0, -1, float("nan"), float("inf"), True]


@pytest.mark.parametrize("wrong", WRONG_TIMES)
def test_finish_within_is_a_time(wrong: object, sqlite_url: str) -> None:
    """It is refused of an engine, of an option of it, and of a connection."""
    options: dict[str, Any] = {"finish_within": wrong}
    with engine_scope(sqlite_url) as engine, engine.connect() as connection:
        said: list[Callable[[], object]] = [
            lambda: create_engine(sqlite_url, execution_options=options),
            lambda: engine.execution_options(**options),
            lambda: engine.update_execution_options(**options),
            lambda: connection.execution_options(**options),
        ]
        for say in said:
            with pytest.raises(ArgumentError, match="finish_within is refused: seen"):
                say()


def test_finish_within_of_a_stock_engine_is_a_time() -> None:
    """It is refused when the engine is used here."""
    engine = sqlalchemy.create_engine(
        "sqlite://", execution_options={"finish_within": "5"}
    )
    with pytest.raises(ArgumentError, match="finish_within is refused: seen '5'"):
        with transaction(engine):
            pass
    engine.dispose()


async def test_scope_is_entered_once(sqlite_url: str) -> None:
    """Its outcome is that of one transaction."""
    with engine_scope(sqlite_url) as engine:
        scope = transaction(engine)
        with scope:
            pass
        with pytest.raises(InvalidRequestError, match="open a new one for each block"):
            with scope:
                pass
    async with async_engine_scope(sqlite_url) as asyncio_engine:
        again = async_transaction(asyncio_engine)
        async with again:
            pass
        with pytest.raises(InvalidRequestError, match="open a new one for each block"):
            async with again:
                pass


def test_finish_within_of_an_engine_can_be_changed(sqlite_url: str) -> None:
    """Its connections have it from then on."""
    with engine_scope(sqlite_url) as engine:
        engine.update_execution_options(finish_within=3.0)
        with engine.connect() as connection:
            assert 3.0 == connection.get_execution_options()["finish_within"]
