"""Try one host of asyncpg's after the other, each with a time of its own."""

from __future__ import annotations

from itertools import product
from typing import cast

# The server is starting or stopping; libpq goes on to the next one, too.
_NOT_NOW = "57P03"


async def connect_to_any(
    *,
    host: str | list[str] | None = None,
    port: int | list[int] | None = None,
    target_session_attrs: str = "any",
    **arguments: object,
) -> object:
    """Connect to the first host that is what `target_session_attrs` asks for.

    asyncpg itself has one timeout for all hosts, so that one which does not answer
    keeps it from the others, and goes no further than one that is starting.
    Source: https://github.com/MagicStack/asyncpg/issues/1155.
    """
    from async_layers.drivers._postgresql.untyped import asyncpg  # noqa: PLC0415

    if not isinstance(host, list):
        return await asyncpg.connect(
            host=host,
            port=port,
            target_session_attrs=target_session_attrs,
            **arguments,
        )
    hosts = list(zip(host, cast("list[int]", port), strict=True))
    prefers = target_session_attrs == "prefer-standby"
    attributes = ("standby", "any") if prefers else (target_session_attrs,)
    seen = list[str]()
    for attribute, (name, number) in product(attributes, hosts):
        try:
            return await asyncpg.connect(
                host=name, port=number, target_session_attrs=attribute, **arguments
            )
        except (
            OSError,
            asyncpg.ConnectionDoesNotExistError,  # closed before it was open
            asyncpg.TargetServerAttributeNotMatched,
        ) as error:
            seen.append(f"{name}:{number} ({error or type(error).__name__})")
        except asyncpg.PostgresError as error:
            if error.sqlstate != _NOT_NOW:
                raise
            seen.append(f"{name}:{number} ({error})")
    raise ConnectionError(
        f"No host is {target_session_attrs!r}: seen {', '.join(seen)}; "
        "start one, promote one, or name one that is."
    )
