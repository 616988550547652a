"""What type checkers must say of hooks; checked and never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from async_layers import async_on_commit, on_commit

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session


def send(name: str, *, times: int = 1) -> None:
    """Be a hook of blocking code."""


async def send_later(name: str, *, times: int = 1) -> None:
    """Be a hook of asyncio."""


def blocking(connection: Connection, session: Session) -> None:
    """Give a hook its arguments."""
    on_commit(connection, send, "anna")
    on_commit(session, send, "anna", times=2)


def asyncio(connection: AsyncConnection, session: AsyncSession) -> None:
    """Give a hook its arguments, whether it is awaited or not."""
    async_on_commit(connection, send_later, "anna")
    async_on_commit(session, send_later, "anna", times=2)
    async_on_commit(session, send, "anna", times=2)


def refused(engine: Engine, session: Session, later: AsyncSession) -> None:
    """Be told of what does not fit before anything runs."""
    on_commit(engine, send, "anna")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    on_commit(later, send, "anna")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    on_commit(session, send)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    on_commit(session, send, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async_on_commit(session, send, "anna")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async_on_commit(later, send_later, n=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
