"""What a run needs besides SQLAlchemy's plugin: our dialects, and its outcomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from sqlalchemy.dialects import registry

# They register their hooks as they are imported; ours take their places below.
from sqlalchemy.dialects.postgresql import provision as _postgresql  # noqa: F401
from sqlalchemy.dialects.sqlite import provision as _sqlite  # noqa: F401
from sqlalchemy.testing import provision

from tests.compliance.compare import worse

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sqlalchemy import URL, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

    from tests.compliance.compare import Outcome

# The entry points say the same; an editable install may be older than they are.
registry.register("sqlite.async_layers", "async_layers.drivers.sqlite", "SQLiteDialect")
registry.register(
    "sqlite.async_layers_async",
    "async_layers.drivers.sqlite_async",
    "AsyncSQLiteDialect",
)
registry.register(
    "postgresql.async_layers", "async_layers.drivers.postgresql", "PostgreSQLDialect"
)
registry.register(
    "postgresql.async_layers_async",
    "async_layers.drivers.postgresql_async",
    "AsyncPostgreSQLDialect",
)

DATABASES = ("sqlite", "postgresql")


def _theirs(hook: Any) -> dict[str, Callable[..., None]]:
    """Return SQLAlchemy's own functions of a hook, by database."""
    return {name: hook.fns.get(name, hook.fns["*"]) for name in DATABASES}


_configure = _theirs(provision.post_configure_testing_engine)
_stop = _theirs(provision.stop_test_class_outside_fixtures)
_engines_of_class: list[Engine] = []


@provision.post_configure_testing_engine.for_db(*DATABASES)  # type: ignore[untyped-decorator] # SQLAlchemy's
def configure(url: URL, engine: Engine, options: dict[str, object], scope: str) -> None:
    """Attach SQLite's second schema to every engine; SQLAlchemy attaches it to one."""
    _configure[engine.name](url, engine, options, scope)
    if scope == "class":
        _engines_of_class.append(engine)
    if scope == "global" or engine.name != "sqlite":
        return
    attach = f'ATTACH DATABASE "{engine.driver}_test_schema.db" AS test_schema'

    @event.listens_for(engine, "connect")
    def connect(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        del entry
        connection.cursor().execute(attach)


@provision.stop_test_class_outside_fixtures.for_db(*DATABASES)  # type: ignore[untyped-decorator] # SQLAlchemy's
def stop(config: object, db: Engine, cls: type) -> None:
    """Dispose of the engines of a class once more.

    SQLAlchemy disposes of them before it drops the tables of the class through
    them, and leaves that connection open, which is a ResourceWarning.
    """
    while _engines_of_class:
        _engines_of_class.pop().dispose()
    _stop[db.name](config, db, cls)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the name of a file to write the outcomes to."""
    parser.addoption("--outcomes", type=Path, metavar="FILE")


def pytest_configure(config: pytest.Config) -> None:
    """Record the outcomes where a file is named."""
    if path := config.getoption("--outcomes"):
        config.pluginmanager.register(Recorder(path))


class Recorder:
    """Write each test's outcome by a name that is the same for every dialect."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcomes: dict[str, Outcome] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Function
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Keep the worst of set-up, call and tear-down."""
        report = yield
        # SQLAlchemy appends the dialect to a class's own name.
        owner = getattr(item.cls, "_sa_orig_cls_name", item.cls.__name__)
        name = f"{owner}::{item.name}"
        before = self._outcomes.get(name, "passed")
        self._outcomes[name] = worse(before, report.outcome)
        return report

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        self._path.write_text(json.dumps(self._outcomes), encoding="utf-8")
