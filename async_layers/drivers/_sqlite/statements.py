"""What a statement of SQLite is to its transaction, by its first words.

Nothing here is certain of a statement that it does not know: that one may write.
"""

from __future__ import annotations

import re
from functools import lru_cache

# How most statements begin that write nothing; `reads` knows the others.
READS = ("SELECT", "select")
PRAGMAS = ("PRAGMA", "pragma")

# Possessive, or a row of comments would be tried in each possible way.
_AHEAD = r"(?>\s|--[^\n]*\n|/\*.*?\*/)*+"
_PRAGMA = r"""PRAGMA\s+(?:[^=(.]+\.\s*)?["`\[]?"""
_FLAGS = re.IGNORECASE | re.DOTALL

_READ = re.compile(
    rf"{_AHEAD}(?:SELECT|VALUES|EXPLAIN|"
    r"WITH\b(?!.*\b(?:INSERT|UPDATE|DELETE|REPLACE)\b))\b",
    _FLAGS,
)
# A PRAGMA that assigns is no part of a transaction, but for these.
_PART = r"(?:user_version|application_id|schema_version|defer_foreign_keys)\b"
_OUTSIDE = re.compile(
    rf"{_AHEAD}(?:BEGIN\b|VACUUM\b|DETACH\b|"
    rf"{_PRAGMA}(?:(?!{_PART})\w+[\"`\]]?\s*="
    r"|(?:foreign_keys|journal_mode|synchronous|temp_store|wal_checkpoint)\b))",
    _FLAGS,
)
_FOREIGN_KEYS = re.compile(rf"{_PRAGMA}foreign_keys[\"`\]]?\s*[=(]", _FLAGS)


@lru_cache(256)
def reads(statement: str) -> bool:
    """Say whether a statement writes nothing."""
    return _READ.match(statement) is not None


@lru_cache(256)
def is_outside(statement: str) -> bool:
    """Say whether SQLite cannot do it in a transaction, or does nothing there.

    So is a BEGIN of the user's own.
    """
    return _OUTSIDE.match(statement) is not None


def sets_foreign_keys(statement: str) -> bool:
    """Say whether it is what SQLite takes in a transaction, and silently leaves."""
    return statement.startswith(PRAGMAS) and _FOREIGN_KEYS.match(statement) is not None
