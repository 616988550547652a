"""REAL as PostgreSQL writes it: the shortest number that is read back as the same."""

from __future__ import annotations

import struct
from typing import Any

_REAL = struct.Struct("!f")
_DIGITS = range(6, 10)  # significant ones: 6 are always kept, 9 are always enough
_LEAST = 2.0**-126  # a smaller one has fewer


def encode(value: float) -> bytes:
    """Return a number in the binary format of float4."""
    return _REAL.pack(value)


def decode(data: bytes) -> float:
    """Return the shortest number that is this one in single precision.

    1.1 is read as 1.1, not as 1.100000023841858.
    """
    (exact,) = _REAL.unpack(data)
    for digits in _DIGITS if abs(exact) >= _LEAST else range(1, 10):
        short = float(f"{exact:.{digits}g}")
        if _REAL.pack(short) == data:
            return short
    return float(exact)


def is_no_real(value: float) -> bool:
    """Say whether a number is too large for REAL, or would be 0: PostgreSQL says so."""
    try:
        (kept,) = _REAL.unpack(_REAL.pack(value))
    except OverflowError:
        return True
    return bool(value) and not kept


async def set_codec(connection: Any) -> None:
    """Tell a connection of asyncpg to read REAL so."""
    await connection.set_type_codec(
        "float4", schema="pg_catalog", encoder=encode, decoder=decode, format="binary"
    )
