"""What an engine of PostgreSQL refuses, in either world."""

from __future__ import annotations

from dataclasses import dataclass, fields

from sqlalchemy.exc import ArgumentError


@dataclass(frozen=True, slots=True)
class PostgreSQLOptions:
    """What an engine of PostgreSQL refuses where the two worlds would have to guess.

    Raises `ArgumentError` for what is neither True nor False.

    `refuse_transaction_control`: a `text()` that begins, commits, rolls back or
    prepares a transaction, which SQLAlchemy would not notice.
    `refuse_several_statements`: a `text()` of several statements, of which only
    the blocking driver would return rows.
    `refuse_naive_datetimes`: a datetime without a zone for a column with one
    (`DateTime(timezone=True)`), which is taken to be in the zone of the session.
    """

    refuse_transaction_control: bool = True
    refuse_several_statements: bool = True
    refuse_naive_datetimes: bool = False

    def __post_init__(self) -> None:
        """Refuse what is neither True nor False."""
        for each in fields(self):
            value: object = getattr(self, each.name)
            if not isinstance(value, bool):
                raise ArgumentError(
                    f"{each.name}={value!r} is refused: seen neither True nor False; "
                    "write one of them."
                )


DEFAULTS = PostgreSQLOptions()


def is_ours(database: str, driver: str) -> bool:
    """Say whether the names in a URL are our PostgreSQL dialect, in either world."""
    return database == "postgresql" and driver.startswith("async_layers")


def require_options(options: object) -> PostgreSQLOptions:
    """Return the options of an engine, or refuse what is none."""
    if not isinstance(options, PostgreSQLOptions):
        raise ArgumentError(
            f"postgresql={options!r} is refused: seen {type(options).__name__}; write "
            "PostgreSQLOptions(...), or leave it out."
        )
    return options
