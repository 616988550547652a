"""What is known of a prepared statement: its parameters and what it returns."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

from async_layers.drivers._postgresql.codecs import (
    check_of,
    is_any_wrong,
    is_changed,
    is_multirange,
    is_refused,
)
from async_layers.drivers._postgresql.kinds import flat, sql_type, type_of_many
from async_layers.drivers._postgresql.literals import goes_as_text, literal, multirange
from async_layers.drivers._postgresql.untyped import INFINITIES, Range

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from async_layers.drivers._postgresql.codecs import Check

    class Statement(Protocol):
        """What is used of asyncpg's PreparedStatement."""

        def get_attributes(self) -> Sequence[Any]: ...
        def get_parameters(self) -> Sequence[Any]: ...
        async def executemany(self, rows: Sequence[Sequence[object]]) -> None: ...
        def get_query(self) -> str: ...

        _state: Any


_TEMPORAL = frozenset({1082, 1114, 1184})
# Arrays, ranges and multiranges of them.
_COMPOUND = frozenset({1182, 1115, 1185, 3908, 3910, 3912, 4533, 4534, 4535})
_FEW = 64  # parameters; and kinds that are remembered of a statement


class Plan:
    """A prepared statement, and what has to be known of it each time."""

    __slots__ = (
        "_known",
        "changed",
        "description",
        "oids",
        "oids_of_rows",
        "stamp",
        "statement",
        "temporal",
        "types",
    )

    def __init__(self, statement: Statement, stamp: float) -> None:
        self.statement = statement
        self.stamp = stamp
        attributes = statement.get_attributes()
        self.description = [
            (each.name, each.type.oid, None, None, None, None, None)
            for each in attributes
        ] or None
        self.oids_of_rows = [each.type.oid for each in attributes]
        self.temporal = tuple(
            index
            for index, oid in enumerate(self.oids_of_rows)
            if oid in _TEMPORAL or oid in _COMPOUND
        )
        self.types = statement.get_parameters()
        self.oids = tuple(each.oid for each in self.types)
        self.changed = tuple(
            index for index, oid in enumerate(self.oids) if is_changed(oid)
        )
        self._known: dict[tuple[type, ...], tuple[tuple[int, Check], ...]] = {}

    def wrong(self, parameters: Sequence[object]) -> list[int]:
        """Return the indexes of values that asyncpg would make others of."""
        given = tuple(map(type, parameters))
        checks = self._known.get(given)
        if checks is None:
            checks = self._learn(given)
        if not checks:
            return []
        return [index for index, check in checks if check(parameters[index])]

    def refused(self, parameters: Sequence[object]) -> list[int]:
        """Return the indexes of values that asyncpg refuses, and PostgreSQL may not."""
        pairs = enumerate(zip(self.oids, parameters, strict=False))
        return [i for i, (oid, value) in pairs if is_refused(oid, value)]

    def any_wrong(self, rows: Sequence[Sequence[object]]) -> bool:
        """Say whether any row has a value that asyncpg would make another one of."""
        return any(
            is_any_wrong(self.oids[index], list(map(itemgetter(index), rows)))
            for index in self.changed
        )

    def casts(
        self, wrong: Sequence[int], parameters: Sequence[object]
    ) -> tuple[dict[int, str], list[object]]:
        """Return the type that each wrong value has, and the values to send."""
        types, sent = dict[int, str](), list(parameters)
        for index in wrong:
            value = sent[index]
            name = sql_type(value) or self.type_name(index)
            if goes_as_text(value):
                name = f"text::{name}"
                several = is_multirange(self.oids[index])
                sent[index] = multirange(value) if several else literal(value)
            types[index + 1] = name
        return types, sent

    def type_name(self, index: int) -> str:
        """Return the name of a parameter's type, as a cast takes it."""
        found = self.types[index]
        name, brackets = (
            (found.name[:-2], "[]") if found.name.endswith("[]") else (found.name, "")
        )
        return f'"{found.schema}"."{name}"{brackets}'

    def infinite(self, rows: Sequence[Any]) -> int | None:
        """Return the index of the first row that reaches to infinity."""
        for index in self.temporal:
            column = list(map(itemgetter(index), rows))
            if self.oids_of_rows[index] not in _TEMPORAL:
                column = list(_inner(column))
            if not INFINITIES.isdisjoint(map(id, column)):
                return next(n for n, row in enumerate(rows) if self._reaches(row))
        return None

    def _reaches(self, row: Any) -> bool:
        values = _inner([row[index] for index in self.temporal])
        return any(id(value) in INFINITIES for value in values)

    def _learn(self, given: tuple[type, ...]) -> tuple[tuple[int, Check], ...]:
        checks = tuple(
            (index, check)
            for index, (oid, kind) in enumerate(zip(self.oids, given, strict=False))
            if (check := check_of(oid, kind)) is not None
        )
        if len(self._known) >= (_FEW if len(given) <= _FEW else 2):
            self._known.clear()
        self._known[given] = checks
        return checks


def _inner(values: list[Any]) -> Iterator[Any]:
    """Go through values, and through what is in lists and ranges of them."""
    for value in flat(values):
        if isinstance(value, Range):
            yield from (value.lower, value.upper)
        else:
            yield value


def first_casts(numbers: Sequence[int], parameters: Sequence[object]) -> dict[int, str]:
    """Return the types of values for parameters that the text gives none.

    A text, and NULL, have none: PostgreSQL finds out where they stand.
    """
    types = dict[int, str]()
    for number in numbers:
        if number <= len(parameters):
            value = parameters[number - 1]
            name = None if type(value) is str else sql_type(value)
            if name is not None:
                types[number] = name
    return types


def column_casts(
    numbers: Sequence[int], rows: Sequence[Sequence[object]]
) -> dict[int, str]:
    """Return the types of the values of many rows, where a column has one.

    Integers have the widest of theirs, so that they stay in one batch.
    """
    types = dict[int, str]()
    for number in numbers:
        found = type_of_many(list(map(itemgetter(number - 1), rows)))
        if found is not None:
            types[number] = found
    return types
