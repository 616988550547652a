"""SQLAlchemy's tests, all of them; two classes learn what our SQLite dialects are.

That is how its README.dialects.rst lets a dialect adapt a test that names drivers.
PostgreSQL's need nothing: they keep the names of their drivers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy.testing import config, suite

# Its plugin takes for a test what stands here by its name.
from sqlalchemy.testing.suite import *  # noqa: F403

from async_layers import SQLiteOptions
from async_layers.drivers._sqlite.cursor import StreamCursor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Engine


class ServerSideCursorsTest(suite.ServerSideCursorsTest):  # type: ignore[no-redef] # takes its place
    """It knows a cursor that streams by the names of SQLAlchemy's own drivers.

    "This is a huge issue as it prevents these tests from being usable by third
    party dialects" (sqlalchemy/testing/suite/test_results.py).
    """

    def _is_server_side(self, cursor: object) -> bool:
        streams: bool = super()._is_server_side(cursor)  # type: ignore[no-untyped-call] # SQLAlchemy's
        return streams or isinstance(cursor, StreamCursor)


class _Unenforced:
    """The options of an engine: no foreign keys, where ours would enforce them."""

    def __get__(self, instance: object, owner: type) -> Mapping[str, object]:
        del instance, owner
        if cast("Engine", config.db).driver == "async_layers":
            return {"sqlite": SQLiteOptions(foreign_keys=False)}
        return {}


class UnicodeSchemaTest(suite.UnicodeSchemaTest):  # type: ignore[no-redef] # takes its place
    """It refers to a column that is not unique.

    SQLite refuses that where foreign keys are enforced
    (https://sqlite.org/foreignkeys.html#fk_indexes), of SQLAlchemy's own dialects
    as well after PRAGMA foreign_keys = ON.
    """

    __engine_options__ = _Unenforced()
