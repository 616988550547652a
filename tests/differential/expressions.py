"""Expressions of SQLAlchemy whose parameters have types of their own."""
# ruff: noqa: D401, DTZ001 - a scenario says what is; naive datetimes are meant

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    Date,
    DateTime,
    Enum,
    Integer,
    Interval,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    any_,
    bindparam,
    case,
    cast,
    column,
    extract,
    func,
    literal,
    null,
    select,
    tuple_,
    type_coerce,
    values,
)
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by, array, insert

from tests.differential._catalogue import cases
from tests.differential._ground import ITEM

if TYPE_CHECKING:
    from tests.differential._ground import Ground

_I, _S = ITEM.c.id, ITEM.c.name
_DAY, _NOON = date(2020, 1, 1), datetime(2020, 1, 1, 12)
_JSON = literal({"a": [1, {"b": "c"}], "d": 1.5}, JSONB)

_ALONE: dict[str, Any] = {
    "int": literal(5),
    "great int": literal(2**40),
    "greater int": literal(2**70),
    "float": literal(1.5),
    "Decimal": literal(Decimal("1.10")),
    "text": literal("a"),
    "bool": literal(value=True),
    "None": literal(None),
    "bytes": literal(b"a"),
    "date": literal(_DAY),
    "datetime": literal(_NOON),
    "timedelta": literal(timedelta(hours=1)),
    "int and float": literal(5) + literal(1.5),
    "int and Decimal": literal(5) * Decimal("1.5"),
    "int divided": literal(5) / literal(2),
    "int divided whole": literal(5) // literal(2),
    "remainder": literal(5) % literal(3),
    "concatenation": literal("a") + "b",
    "cast": cast("5", Integer),
    "cast of float": cast(2.5, Integer),
    "cast of Decimal": cast(Decimal("3.5"), Integer),
    "cast to text": cast(5, String),
    "cast to numeric": cast("1.10", Numeric(10, 1)),
    "cast to date": cast("2020-01-01", Date),
    "cast of datetime": cast(_NOON, Date),
    "coerced": type_coerce("5", Integer),
    "date and interval": literal(_DAY) + timedelta(days=1),
    "datetime and interval": literal(_NOON) - timedelta(hours=1),
    "two datetimes": literal(_NOON) - literal(_NOON - timedelta(days=1)),
    "two dates": literal(_DAY) - literal(date(2019, 12, 1)),
    "extract": extract("hour", literal(_NOON)),
    "date_trunc": func.date_trunc("day", _NOON),
    "date_trunc aware": func.date_trunc("day", datetime(2020, 1, 1, 12, tzinfo=UTC)),
    "date_part": func.date_part("year", _DAY),
    "to_char": func.to_char(_NOON, "YYYY"),
    "make_date": func.make_date(2020, 1, 1),
    "coalesce": func.coalesce(null(), 5),
    "coalesce of text": func.coalesce(None, "a"),
    "greatest": func.greatest(1, 2.5),
    "round": func.round(Decimal("2.567"), 2),
    "round of float": func.round(2.5),
    "power": func.power(2, 3),
    "substring": func.substring("abcdef", 2, 3),
    "concat": func.concat("a", 5, None),
    "length": func.length("abc"),
    "repeat": func.repeat("a", 3),
    "format": func.format("%s-%s", "a", 5),
    "string_agg": select(
        func.string_agg(_S, aggregate_order_by(literal(","), _I))
    ).scalar_subquery(),
    "array": array([1, 2]),
    "array of text": array(["a", "b"]),
    "array item": literal([1, 2, 3], ARRAY(Integer))[2],
    "array slice": literal([1, 2, 3], ARRAY(Integer))[1:2],
    "array and array": literal([1, 2], ARRAY(Integer)) + literal([3], ARRAY(Integer)),
    "array contains": literal([1, 2], pg.ARRAY(Integer)).contains([1]),
    "array_append": func.array_append(literal([1], ARRAY(Integer)), 2),
    "array_length": func.array_length(literal([1], ARRAY(Integer)), 1),
    "unnest": func.unnest(literal([1, 2], ARRAY(Integer))),
    "json item": _JSON["a"],
    "json item as text": _JSON["d"].astext,
    "json number": _JSON["d"].as_float(),
    "json path": _JSON[("a", "1", "b")],
    "json path as text": _JSON[("a", "1", "b")].astext,
    "json contains": _JSON.contains({"d": 1.5}),
    "json has key": _JSON.has_key("a"),
    "json and json": _JSON + literal({"e": 1}, JSONB),
    "json of nothing": literal(None, JSON),
    "jsonb_build_object": func.jsonb_build_object("a", 5, "b", "c"),
    "jsonb_set": func.jsonb_set(_JSON, literal(["d"], ARRAY(Text)), literal(2, JSONB)),
    "to_jsonb": func.to_jsonb(literal("a")),
    "case": case((literal(1) == 1, "a"), else_="b"),
    "case of numbers": case((literal(1) == 2, 1), else_=2.5),
    "is distinct": literal(1).is_distinct_from(None),
    "between": literal(2).between(1, 3),
    "like": literal("abc").like("a%"),
    "like with escape": literal("a%c").like("a/%c", escape="/"),
    "startswith": literal("a%c").startswith("a%", autoescape=True),
    "regular expression": literal("abc").regexp_match("^a"),
    "in": literal(1).in_([1, 2]),
    "in nothing": literal(1).in_([]),
    "in text and None": literal("a").in_(["a", None]),
    "tuple in": tuple_(literal(1), literal("a")).in_([(1, "a"), (2, "b")]),
    "any of array": literal(1) == any_(literal([1, 2], ARRAY(Integer))),
    "generate_series": func.generate_series(1, 3),
    "generate_series of dates": func.generate_series(
        _NOON, _NOON + timedelta(days=1), timedelta(days=1)
    ),
    "at time zone": func.timezone("Asia/Tokyo", literal(_NOON)),
    "interval by text": cast("1 day", Interval),
    "enum": cast("ok", Enum("sad", "ok", name="mood")),
    "untyped bind": bindparam("x", "a"),
    "typed bind": bindparam("x", "5", type_=Integer),
}


@cases(*_ALONE)
def alone(ground: Ground, name: str) -> object:
    """The value of an expression, and what the server takes it for."""
    ground.observe("CREATE TYPE mood AS ENUM ('sad', 'ok')")
    with ground.engine.begin() as connection:
        asked = select(_ALONE[name].label("x"))
        told = ground.attempt(lambda: connection.execute(asked).all())
    with ground.engine.begin() as connection:
        kind = select(func.min(cast(func.pg_typeof(column("x")), Text))).select_from(
            asked.subquery()
        )
        return [told, ground.attempt(lambda: connection.execute(kind).scalar())]


_WHERE: dict[str, Any] = {
    "equal": _I == 2,
    "equal to float": _I == 2.0,
    "equal to Decimal": _I == Decimal(2),
    "equal to text": _S == "b",
    "text equal to int": _S == 5,
    "greater than float": _I > 1.5,
    "in with floats": _I.in_([1, 2.0]),
    "in with texts": _I.in_(["1", "2"]),
    "in with great ints": _I.in_([1, 2**40]),
    "not in with None": _I.not_in([1, None]),
    "plus float": _I + 0.5 > 2,
    "divided": _I / 2 >= 1,
    "modulo": _I % 2 == 0,
    "length": func.length(_S) == 1,
    "lower": func.lower(_S) == "B".lower(),
    "concatenated": _S + "x" == "bx",
    "ilike": _S.ilike("B"),
    "tuple": tuple_(_I, _S) == tuple_(2, "b"),
    "tuple in": tuple_(_I, _S).in_([(1, "a"), (2, "b")]),
    "exists": select(1).where(_I == 2).exists(),
    "any": _I == any_(literal([1, 2], ARRAY(Integer))),
    "between floats": _I.between(0.5, 1.5),
    "bool": literal(value=True) & (_I == 1),
    "date": func.date(literal(_NOON)) == _DAY,
}


@cases(*_WHERE)
def where(ground: Ground, name: str) -> object:
    """The rows that a condition finds."""
    with ground.engine.begin() as connection:
        asked = select(_I).where(_WHERE[name]).order_by(_I)
        return ground.attempt(lambda: connection.execute(asked).all())


def listed_values(ground: Ground) -> object:
    """VALUES with types of their own."""
    given = values(column("a", Integer), column("b", String), name="v").data(
        [(1, "a"), (2, None)]
    )
    with ground.engine.begin() as connection:
        return connection.execute(select(given)).all()


@cases(2.5, "7", 2**40, Decimal("1.5"), None)
def upserted(ground: Ground, value: Any) -> object:
    """ON CONFLICT DO UPDATE with a value of another type."""
    made = insert(ITEM).values(id=1, n=1)
    made = made.on_conflict_do_update(index_elements=[_I], set_={"n": value})
    with ground.engine.begin() as connection:
        asked = made.returning(ITEM.c.n)
        return ground.attempt(lambda: connection.execute(asked).all())


@cases(2.5, "7", "x", 2**40)
def defaulted(ground: Ground, value: Any) -> object:
    """A default of another type."""
    table = Table(
        "item",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("n", Integer, default=value, onupdate=value),
        Column("name", String),
    )
    with ground.engine.begin() as connection:

        def both() -> None:
            connection.execute(table.insert(), {"id": 4})
            connection.execute(table.update().where(table.c.id == 1), {"name": "z"})

        return ground.attempt(both)


@cases(DateTime(), DateTime(timezone=True), Date(), String(), Integer())
def now_into(ground: Ground, type_: Any) -> object:
    """A function's value into a column of a type."""
    ground.observe("CREATE TABLE t (x text)")
    table = Table("t", MetaData(), Column("x", type_))
    with ground.engine.begin() as connection:
        made = table.insert().values(x=func.to_char(literal(_NOON), "YYYY"))
        return ground.attempt(lambda: connection.execute(made) and None)
