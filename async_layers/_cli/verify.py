"""Prove many facts on one database, and say what came of it."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column
from rich.text import Text

from async_layers._cli.verdict import judgement
from async_layers.parity import Verdict, prove

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType

    from async_layers._proof.facts import Fact
    from async_layers._proof.scratch import Scratch


def prove_all(facts: Sequence[Fact], place: Scratch, screen: Console) -> list[Verdict]:
    """Return a verdict for each fact, with a progress bar if a person looks on."""
    name = TextColumn(
        "{task.description}",
        table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
    )
    verdicts = list[Verdict]()
    with Progress(
        name,
        BarColumn(20),
        MofNCompleteColumn(),
        console=screen,
        transient=True,
        expand=True,
        disable=not screen.file.isatty(),
    ) as progress:
        task = progress.add_task("", total=len(facts))
        for fact in facts:
            progress.update(task, description=fact.name)
            with _named(fact):
                verdicts.append(prove(fact, place))
            progress.advance(task)
    return verdicts


@contextmanager
def _named(fact: Fact) -> Iterator[None]:
    """Let an error that is no outcome say at which fact it came."""
    try:
        yield
    except Exception as error:
        error.add_note(f"(at {fact.name})")
        raise


def any_fails(verdicts: Sequence[Verdict]) -> bool:
    """Say whether a pair that was tried does not hold."""
    return any(not (verdict.holds or verdict.skipped) for verdict in verdicts)


def verify_page(
    verdicts: Sequence[Verdict], place: Scratch
) -> Iterator[RenderableType]:
    """Yield what does not hold, what was not tried, and a summary."""
    for verdict in verdicts:
        if not verdict.holds:
            yield from judgement(verdict, place)
    count = Counter(
        "holds" if one.holds else "skipped" if one.skipped else "fails"
        for one in verdicts
    )
    seconds = sum(verdict.seconds for verdict in verdicts)
    parts = [f"{count['holds']} of {len(verdicts)} pairs hold"]
    parts += [f"{count['fails']} do not"] * (count["fails"] > 0)
    parts += [f"{count['skipped']} not tried"] * (count["skipped"] > 0)
    drivers = f"({place.drivers['sync']} | {place.drivers['async']})"
    yield Text.assemble(
        f"{place.database} {drivers}: ",
        (", ".join(parts), "bold red" if count["fails"] else "bold green"),
        f", in {seconds:.1f} s.",
    )
