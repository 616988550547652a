"""Write the verdicts of a run as a document."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from async_layers._cli.console import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from async_layers._proof.facts import Fact
    from async_layers._proof.scratch import Scratch
    from async_layers.parity import Verdict

_LAYERS = {"engine": "connection", "factory": "session", "url": "engine"}


@contextmanager
def open_document(name: str | None) -> Iterator[Callable[[str], object]]:
    """Lend what writes a document; a file is opened before the run, not after it.

    `-` is stdout; without a name nothing is written. A file that cannot be
    written is a `ClickException` of one line.
    """
    if name is None:
        yield lambda _: None
        return
    if name == "-":
        yield lambda text: Page().out(text, highlight=False, end="")
        return
    try:
        with Path(name).open("w", encoding="utf-8") as file:
            yield file.write
    except OSError as error:
        raise click.UsageError(
            f"--json is refused: seen {error}; write a file that can be written."
        ) from error


def as_json(verdicts: Sequence[Verdict], place: Scratch) -> str:
    """Return all verdicts as a document.

    The layer of a fact in the room of differences is the one whose object it
    takes: a URL opens an engine, an engine lends connections, a factory sessions.
    """
    patterns = [
        {
            "name": verdict.fact.name,
            "layer": _layer(verdict.fact),
            "holds": None if verdict.skipped else verdict.holds,
            "seconds": round(verdict.seconds, 6),
            "reason": verdict.reason,
        }
        for verdict in verdicts
    ]
    document = {
        "database": place.database,
        "drivers": place.drivers,
        "patterns": patterns,
    }
    return json.dumps(document, indent=2) + "\n"


def _layer(fact: Fact) -> str:
    return fact.room if fact.room in _LAYERS.values() else _LAYERS[fact.argument()]
