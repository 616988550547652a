"""The dialects that are compared, and how each of them is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy
import sqlalchemy.ext.asyncio
from sqlalchemy import make_url

import async_layers

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import URL, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass(frozen=True)
class Side:
    """A dialect in one of the worlds."""

    name: str
    drivername: str
    asyncio: bool
    driver: str

    @property
    def ours(self) -> bool:
        """Say whether it is a dialect of this project."""
        return self.drivername.endswith("async_layers")

    def open(
        self, url: str, application: str, schema: str, **options: Any
    ) -> Engine | AsyncEngine:
        """Open an engine whose tables are those of a schema.

        `at` changes parts of the URL, `lenient` has a dialect of ours refuse no text;
        the rest is what SQLAlchemy takes.
        """
        if options.pop("lenient", False) and self.ours:
            options["postgresql"] = async_layers.PostgreSQLOptions(
                refuse_transaction_control=False, refuse_several_statements=False
            )
        parts: dict[str, Any] = {"drivername": self.drivername, **options.pop("at", {})}
        told = self._told(application, schema) | options.pop("connect_args", {})
        return self._create(make_url(url).set(**parts), connect_args=told, **options)

    def _told(self, application: str, schema: str) -> dict[str, object]:
        path = f"{schema}, public"
        if self.driver == "asyncpg":
            settings = {"search_path": path, "application_name": application}
            return {"server_settings": settings}
        path = path.replace(" ", "")
        return {"options": f"-csearch_path={path}", "application_name": application}

    def _create(self, url: URL, **options: Any) -> Engine | AsyncEngine:
        if self.asyncio:
            if self.ours:
                return async_layers.create_async_engine(url, **options)
            return sqlalchemy.ext.asyncio.create_async_engine(url, **options)
        if self.ours:
            return async_layers.create_engine(url, **options)
        return sqlalchemy.create_engine(url, **options)


PSYCOPG = Side("psycopg", "postgresql+psycopg", asyncio=False, driver="psycopg")
ASYNCPG = Side("asyncpg", "postgresql+asyncpg", asyncio=True, driver="asyncpg")
PSYCOPG_ASYNCIO = Side(
    "psycopg asyncio", "postgresql+psycopg", asyncio=True, driver="psycopg"
)
OURS = Side("ours", "postgresql+async_layers", asyncio=False, driver="psycopg")
OURS_ASYNCIO = Side(
    "ours asyncio", "postgresql+async_layers", asyncio=True, driver="asyncpg"
)
SIDES = (PSYCOPG, ASYNCPG, PSYCOPG_ASYNCIO, OURS, OURS_ASYNCIO)
PAIRS = (
    (PSYCOPG, ASYNCPG),
    (PSYCOPG, PSYCOPG_ASYNCIO),
    (PSYCOPG, OURS_ASYNCIO),
    (PSYCOPG, OURS),
    (OURS, OURS_ASYNCIO),
)
