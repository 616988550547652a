"""The class of PEP 249 of each SQLSTATE, as psycopg has it.

Source: https://www.psycopg.org/psycopg3/docs/api/errors.html and
https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

from __future__ import annotations

from typing import Final

_CLASSES: Final[dict[str, str]] = {
    "08": "OperationalError",
    "0A": "NotSupportedError",
    "10": "ProgrammingError",
    "20": "ProgrammingError",
    "21": "ProgrammingError",
    "22": "DataError",
    "23": "IntegrityError",
    "24": "InternalError",
    "25": "InternalError",
    "26": "ProgrammingError",
    "27": "OperationalError",
    "28": "OperationalError",
    "2B": "InternalError",
    "2D": "InternalError",
    "2F": "OperationalError",
    "34": "ProgrammingError",
    "38": "OperationalError",
    "39": "OperationalError",
    "3B": "OperationalError",
    "3D": "ProgrammingError",
    "3F": "ProgrammingError",
    "40": "OperationalError",
    "42": "ProgrammingError",
    "44": "ProgrammingError",
    "53": "OperationalError",
    "54": "OperationalError",
    "55": "OperationalError",
    "57": "OperationalError",
    "58": "OperationalError",
    "F": "OperationalError",
    "H": "OperationalError",
    "P": "ProgrammingError",
    "X": "InternalError",
}
# The subclasses of SQLAlchemy's adapter, by which its users tell them apart.
_PARTICULAR: Final[dict[str, str]] = {
    "23001": "RestrictViolationError",
    "23502": "NotNullViolationError",
    "23503": "ForeignKeyViolationError",
    "23505": "UniqueViolationError",
    "23514": "CheckViolationError",
    "23P01": "ExclusionViolationError",
}


def class_of(sqlstate: str) -> str:
    """Return the name of the class in SQLAlchemy's adapter of asyncpg."""
    if sqlstate.startswith("XX"):
        return "InternalServerError"
    return _PARTICULAR.get(sqlstate) or general_class_of(sqlstate)


def general_class_of(sqlstate: str) -> str:
    """Return the name of the class of PEP 249."""
    return _CLASSES.get(sqlstate[:2]) or _CLASSES.get(sqlstate[:1], "DatabaseError")
