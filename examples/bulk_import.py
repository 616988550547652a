"""Import a CSV file of thousands of lines: all of it, or nothing.

A line that cannot be read is reported with its number, and nothing is kept.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from _program import database
from _tables import tables
from _weather import FILE, parse, reading
from sqlalchemy import func, select

from async_layers import engine_scope, insert_rows, read, stream, transaction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Engine


def load(engine: Engine, lines: Iterable[str]) -> None:
    """Import all lines, or none."""
    try:
        with transaction(engine, write=True) as connection:
            count = insert_rows(connection, reading, parse(lines))
        print(f"Imported {count} rows.")
    except ValueError as error:
        print(f"Refused {error}.")
    with read(engine) as connection:
        total = connection.scalar(select(func.count()).select_from(reading))
    print(f"The table has {total} rows.")


def summarize(engine: Engine) -> None:
    """Print a line for each station, as the rows arrive."""
    station, celsius = reading.c.station, reading.c.celsius
    what = station, func.min(celsius), func.max(celsius), func.sum(reading.c.rain_mm)
    query = select(*what).group_by(station).order_by(station)
    with stream(engine, query, batch=2) as batches:
        for rows in batches:
            for name, coldest, warmest, rain in rows:
                print(f"{name:<11}{coldest} to {warmest} C, {rain} mm of rain")


def main(url: str) -> None:
    """Import a file with a mistake on its last line, then without, and sum it up."""
    with (
        engine_scope(url, connect_timeout=5) as engine,
        tables(engine, reading.metadata),
    ):
        # Reading a line blocks for less time than sending its row takes.
        with FILE.open(encoding="utf-8", newline="") as lines:
            load(engine, chain(lines, ["Harbour,2024-02-30,8.1,0.0"]))
        with FILE.open(encoding="utf-8", newline="") as lines:
            load(engine, lines)
        summarize(engine)


if __name__ == "__main__":
    with database(__doc__) as url:
        main(url)
