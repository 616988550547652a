"""The pages that list facts: all of them, or those in which the worlds differ."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from async_layers._cli.show import difference, heading, instead
from async_layers._cli.written import declared

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from async_layers._proof.facts import Fact

# A sentence that has less width stands below its name.
_SENTENCE = 40


class FactList:
    """The facts of each room: name, sentence, and the database of one that has one."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self._facts = facts

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        """Draw two columns where the sentence has room, else one."""
        names = [_short(fact) for fact in self._facts]
        width = max(map(len, names), default=0)
        beside = options.max_width - width - 4 >= _SENTENCE
        for number, (room, facts) in enumerate(groupby(self._facts, lambda f: f.room)):
            if number:
                yield Text()
            yield Text(room, style="bold")
            table = Table.grid(padding=(0, 2, 0, 0))
            table.add_column(min_width=width if beside else None, no_wrap=beside)
            for fact in facts:
                name = Text(_short(fact), style="cyan")
                if beside:
                    table.add_row(name, _sentence(fact))
                else:
                    table.add_row(name)
                    table.add_row(Padding(_sentence(fact), (0, 0, 0, 2)))
            yield Padding(table, (0, 0, 0, 2), expand=False)


def _short(fact: Fact) -> str:
    return fact.name.partition(".")[2]


def _sentence(fact: Fact) -> Text:
    sentence = Text(fact.sentence)
    if len(fact.databases) == 1:
        sentence.append(f" ({' '.join(fact.databases)} only)", style="dim")
    return sentence


def differences_page(
    facts: Sequence[Fact], database: str | None, driver: str | None
) -> Iterator[RenderableType]:
    """Yield each fact that differs by declaration: how, why, and what to write."""
    count = 0
    for fact in facts:
        found = declared(fact, database, driver)
        if not found:
            continue
        count += 1
        yield from heading(fact)
        for one in found:
            yield from difference(one)
        yield from instead(fact)
        yield Text()
    yield Text(
        f"{count} of {len(facts)} facts differ; async-layers show NAME shows the code."
    )
