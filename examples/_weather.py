"""Weather readings: their table, and the lines of a file as its rows; no I/O."""

from __future__ import annotations

import csv
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Dialect, MetaData, Table
from sqlalchemy.types import Date, Integer, String, TypeDecorator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Five stations and 1,000 days, made up.
FILE = Path(__file__).parent / "data" / "weather.csv"


class Tenths(TypeDecorator[Decimal]):
    """A decimal with one place, kept as an integer: SQLite has no decimals."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """Return what the database keeps."""
        return None if value is None else int(value * 10)

    def process_result_value(
        self,
        value: int | None,
        dialect: Dialect,  # noqa: ARG002
    ) -> Decimal | None:
        """Return what the program sees."""
        return None if value is None else Decimal(value) / 10


reading = Table(
    "example_reading",
    MetaData(),
    Column("station", String(20), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("celsius", Tenths, nullable=False),
    Column("rain_mm", Tenths, nullable=False),
)


def tenths(text: str) -> Decimal:
    """Return a decimal with one place; refuse what would have to be rounded."""
    if not re.fullmatch(r"-?\d+\.\d", text):
        raise ValueError(f"{text!r} is not a number with one decimal place")
    return Decimal(text)


def parse(lines: Iterable[str]) -> Iterator[Mapping[str, object]]:
    """Yield each line as a row; raise ValueError with the number of a bad one."""
    reader = csv.reader(lines, strict=True)
    next(reader)  # the header
    for line in reader:
        try:
            station, day, celsius, rain = line
            row = {"station": station, "day": date.fromisoformat(day)}
            yield row | {"celsius": tenths(celsius), "rain_mm": tenths(rain)}
        except ValueError as error:
            raise ValueError(f"line {reader.line_num}: {error}") from error
