"""Name a statement by its verb and table, the same from a client and a server."""

from __future__ import annotations

import re
from functools import lru_cache

# A name with its schema, each of them quoted or not; `_bare` takes the last part.
_NAME = r'((?:(?:"[^"]+"|`[^`]+`|\w+\b)\.?)+)'
_PART = re.compile(r'"([^"]+)"|`([^`]+)`|(\w+)')
_SAVEPOINT = re.compile(r"\b(?:sa_savepoint_)?(\w+)\s*$")
_TABLE = {
    "SELECT": rf"\bFROM\s+{_NAME}(?!\s*\()",
    "INSERT": rf"\bINTO\s+{_NAME}",
    "MERGE": rf"\bINTO\s+{_NAME}",
    "UPDATE": rf"\bUPDATE\s+(?:ONLY\s+)?{_NAME}",
    "DELETE": rf"\bFROM\s+(?:ONLY\s+)?{_NAME}",
    "CREATE": rf"\b(?:TABLE|VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}",
    "DROP": rf"\b(?:TABLE|VIEW)\s+(?:IF\s+EXISTS\s+)?{_NAME}",
    "ALTER": rf"\bTABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?{_NAME}",
    "TRUNCATE": rf"\bTRUNCATE\s+(?:TABLE\s+)?{_NAME}",
    "COPY": rf"\bCOPY\s+{_NAME}",
    "DECLARE": rf"\bFROM\s+{_NAME}(?!\s*\()",
    "PRAGMA": rf"\bPRAGMA\s+{_NAME}",
    "SHOW": rf"\bSHOW\s+{_NAME}",
}
_PATTERNS = {verb: re.compile(regex, re.IGNORECASE) for verb, regex in _TABLE.items()}
_TWO_WORDS = {"CREATE", "DROP", "ALTER", "SET"}
_SAVEPOINTS = {
    "SAVEPOINT": "SAVEPOINT",
    "RELEASE": "RELEASE SAVEPOINT",
    "ROLLBACK TO": "ROLLBACK TO SAVEPOINT",
}
_LOCK = re.compile(
    r"\bFOR\s+(?:UPDATE|SHARE)(?:\s+(?:NOWAIT|SKIP\s+LOCKED))?", re.IGNORECASE
)
_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)


@lru_cache(maxsize=1024)  # an application has few statements, and sends them often
def label(statement: str) -> str:
    """Return the name of a statement: `INSERT account`, `SAVEPOINT 1`, `COMMIT`.

    Verbs are in upper case, names as they stand, without schema and quotes.
    What a transaction means by a statement is kept (`FOR UPDATE NOWAIT`,
    `BEGIN IMMEDIATE`); columns, conditions and values are not.
    """
    text = _COMMENT.sub(" ", statement).strip().rstrip(";").rstrip()
    words = text.upper().split()
    if not words:
        return ""
    for prefix, name in _SAVEPOINTS.items():
        found = _SAVEPOINT.search(text)
        if found and words[: len(prefix.split())] == prefix.split():
            return f"{name} {found[1]}"
    if words[0] == "WITH":
        words[0] = _verb_after_with(text)
    if words[0] not in _PATTERNS:
        return " ".join(words[:2])
    return _named(words, text)


def _verb_after_with(text: str) -> str:
    """Return the verb that follows the common table expressions."""
    depth = 0
    for word in re.findall(r"[()]|\w+", text):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth == 0 and word.upper() in {"SELECT", "INSERT", "UPDATE", "DELETE"}:
            return str(word).upper()
    return "WITH"


def _named(words: list[str], text: str) -> str:
    """Return verb, table and lock clause."""
    parts = words[:2] if words[0] in _TWO_WORDS else words[:1]
    found = _PATTERNS[words[0]].search(text)
    if found:
        parts.append(_bare(found[1]))
    lock = _LOCK.search(text)
    if lock and words[0] == "SELECT":
        parts.append(" ".join(lock[0].upper().split()))
    return " ".join(parts)


def _bare(name: str) -> str:
    """Return a name without its schema and quotes."""
    return "".join(_PART.findall(name)[-1])
