"""Read the facts: pairs of functions, and what is written of each."""

from __future__ import annotations

import inspect
import tomllib
from dataclasses import dataclass
from importlib import import_module, resources
from typing import TYPE_CHECKING, Literal, TypeAlias, cast, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

Room: TypeAlias = Literal[
    "engine", "connection", "session", "transactions", "differences"
]
ROOMS: tuple[Room, ...] = get_args(Room)
DATABASES = ("sqlite", "postgresql")

_TEXTS = {"result", "error", "trace", "rows", "pool", "server", "differs"}
_KEYS = _TEXTS | {"databases", "driver_errors", "order", "instead", "needs"}
_OVERRIDES = {"sqlite", "postgresql", "sync", "async"}
_DRIVERS = {"sqlite3", "aiosqlite", "psycopg", "asyncpg", "psycopg_async"}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is written of one half of a fact on one database and driver.

    `error` is SQLAlchemy's class and the SQLSTATE (SQLite: the error's name),
    `driver_error` the class that the driver raised. `rows` are the changes
    that an observer sees, each after the event that made it visible. `pool`
    is its state afterwards, and what is left on its connections and in the
    database. `driver` is a connection of the other world. `differs` says why
    the two worlds differ here, `server` why the server does not see what the
    trace says.
    """

    result: str = "None"
    error: str = ""
    driver_error: str = ""
    trace: str = ""
    rows: str = ""
    pool: str = "0 out"
    driver: str = ""
    server: str = ""
    differs: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One sentence about a transaction, as a pair of functions."""

    name: str
    room: Room
    sentence: str
    blocking: Callable[..., object]
    asyncio: Callable[..., object]
    written: Mapping[str, object]

    @property
    def databases(self) -> tuple[str, ...]:
        """The databases on which the fact is one."""
        return tuple(cast("list[str]", self.written.get("databases", DATABASES)))

    @property
    def instead(self) -> str:
        """What to write instead, where the two worlds must differ."""
        return str(self.written.get("instead", ""))

    @property
    def needs(self) -> str:
        """What a server must allow for the fact to be tried on it."""
        return str(self.written.get("needs", ""))

    @property
    def by_connection(self) -> bool:
        """Whether several connections work at once, each in an order of its own."""
        return self.written.get("order") == "by connection"

    def argument(self) -> str:
        """Return what the functions take: `engine`, `factory` or `url`."""
        return next(iter(inspect.signature(self.blocking).parameters))

    def expected(self, database: str, world: str, driver: str) -> Expectation:
        """Return what is written for one half: the general, then the particular."""
        texts = dict[str, str]()
        errors = dict[str, str]()
        for table in self._tables(database, world, driver):
            texts |= {k: str(v).strip() for k, v in table.items() if k in _TEXTS}
            errors |= cast("dict[str, str]", table.get("driver_errors", {}))
        if not texts.get("error"):
            errors = {}
        return Expectation(**texts, driver_error=errors.get(driver, ""))

    def _tables(
        self, database: str, world: str, driver: str
    ) -> Iterator[Mapping[str, object]]:
        yield self.written
        keys = [database, world, driver]
        if driver == "psycopg" and world == "async":
            keys.append("psycopg_async")
        for key in keys:
            yield cast("Mapping[str, object]", self.written.get(key, {}))


def load_facts(*rooms: Room) -> list[Fact]:
    """Return the facts of the given rooms, of all of them by default, in order.

    Raises `ValueError` where a pair is not whole: a function without its twin
    or without what is written of it, or something written of neither.
    """
    return [fact for room in rooms or ROOMS for fact in _load(room)]


def find_fact(name: str) -> Fact:
    """Return one fact by its name (`connection.raise_inside`, `raise_inside`).

    Raises `LookupError` for a name that none has or that two rooms have.
    """
    found = [f for f in load_facts() if name in {f.name, f.name.partition(".")[2]}]
    if len(found) == 1:
        return found[0]
    seen = " and ".join(fact.name for fact in found) or "no such fact"
    raise LookupError(
        f"{name!r} is refused: seen {seen}; write a name from `async-layers list`."
    )


def _load(room: Room) -> Iterator[Fact]:
    blocking = import_module(f"async_layers.patterns.{room}")
    asyncio = import_module(f"async_layers.patterns.{room}_async")
    file = resources.files("async_layers.patterns") / f"{room}.toml"
    written = tomllib.loads(file.read_text(encoding="utf-8"))
    names = _functions(blocking)
    if not names == _functions(asyncio) == list(written):
        raise ValueError(f"{room}: {_odd(names, _functions(asyncio), list(written))}")
    for name in names:
        _check(f"{room}.{name}", written[name])
        function = getattr(blocking, name)
        sentence = " ".join((function.__doc__ or "").split())
        yield Fact(
            f"{room}.{name}",
            room,
            sentence,
            function,
            getattr(asyncio, name),
            written[name],
        )


def _functions(module: ModuleType) -> list[str]:
    """Return the names of the public functions that a module defines, in order."""
    return [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    ]


def _odd(*lists: list[str]) -> str:
    """Say which name is missing, or stands in another order."""
    where = ("blocking", "asyncio", "written")
    for name in dict.fromkeys(name for names in lists for name in names):
        missing = [
            w for w, names in zip(where, lists, strict=True) if name not in names
        ]
        if missing:
            return f"{name} is missing: {', '.join(missing)}"
    return "the names stand in different orders"


def _check(name: str, written: Mapping[str, object]) -> None:
    """Refuse a key that nobody reads."""
    unknown = written.keys() - _KEYS - _OVERRIDES - _DRIVERS
    for key in _OVERRIDES | _DRIVERS:
        table = cast("Mapping[str, object]", written.get(key, {}))
        unknown |= table.keys() - _TEXTS - {"driver_errors"}
    if unknown:
        raise ValueError(f"{name}: nobody reads {sorted(unknown)}")
