"""asyncpg, which ships no types, and whose names are not all public.

- Cursor: a portal, with what opens and closes it (asyncpg/cursor.py).
- INFINITIES: the objects that its codecs return for infinite dates and times, and
  for nothing else (asyncpg/pgproto/codecs/datetime.pyx).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

asyncpg: Any = import_module("asyncpg")
Range: Any = asyncpg.Range
Cursor: Any = import_module("asyncpg.cursor").Cursor

_CODECS: Any = import_module("asyncpg.pgproto.pgproto")
INFINITIES: Final[frozenset[int]] = frozenset(
    map(
        id,
        (
            _CODECS.infinity_datetime,
            _CODECS.negative_infinity_datetime,
            _CODECS.infinity_date,
            _CODECS.negative_infinity_date,
        ),
    )
)
