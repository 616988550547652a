"""The commands, each in a few lines: its options, its page, its exit code."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import click
from rich.text import Text

from async_layers._cli.console import Page
from async_layers._cli.listing import FactList, differences_page
from async_layers._cli.place import Where, database_of, open_place, place_options
from async_layers._cli.report import as_json, open_document
from async_layers._cli.show import show_page
from async_layers._cli.tour import STOPS, tour_page
from async_layers._cli.verdict import verdict_page
from async_layers._cli.verify import any_fails, prove_all, verify_page
from async_layers._proof import facts
from async_layers.parity import prove

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from async_layers._proof.facts import Fact, Room


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all holds, 1 a pair does not hold, 2 wrong use, or a "
    "database, driver or file that cannot be used.",
)
@click.version_option(package_name="async-layers")
@click.pass_context
def commands(context: click.Context) -> None:
    """Show SQLAlchemy's layers in pairs, blocking and asyncio, and prove them."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@commands.command()
def tour() -> int:
    """Walk through one pair of each layer, run in both worlds."""
    with open_place(Where()) as place:
        verdicts = [prove(facts.find_fact(name), place) for name in STOPS.values()]
    _print(tour_page(verdicts, place))
    return int(any_fails(verdicts))


@commands.command("list")
@click.option("--room", type=click.Choice(facts.ROOMS), help="One room only.")
def list_(room: Room | None) -> None:
    """List the facts by room, each with its sentence."""
    Page().print(FactList(_load(room)))


@commands.command()
@click.argument("name")
def show(name: str) -> None:
    """Show a pair side by side, and what is written of it."""
    fact = _find(name)
    better = [one for one in _load(None) if one.name == f"{fact.name}_instead"]
    _print(show_page(fact, *better))


@commands.command()
@click.argument("name")
@place_options
def run(name: str, url: str | None, async_driver: str | None, *, postgres: bool) -> int:
    """Run a pair in both worlds and judge it."""
    fact = _find(name)
    with open_place(Where(url, postgres, async_driver)) as place:
        if place.database not in fact.databases:
            raise click.UsageError(
                f"{fact.name} is refused: seen {place.database}; it is a fact of "
                f"{' and '.join(fact.databases)}, write --postgres or a --url of it."
            )
        verdict = prove(fact, place)
        _print(verdict_page(verdict, place))
    return int(any_fails([verdict]))


@commands.command()
@place_options
@click.option("--room", type=click.Choice(facts.ROOMS), help="One room only.")
@click.option("--json", "file", metavar="FILE", help="Write all verdicts, - is stdout.")
def verify(
    url: str | None,
    async_driver: str | None,
    room: Room | None,
    file: str | None,
    *,
    postgres: bool,
) -> int:
    """Run all pairs of a database and judge them."""
    with open_document(file) as write:
        with open_place(Where(url, postgres, async_driver)) as place:
            tried = [fact for fact in _load(room) if place.database in fact.databases]
            if not tried:
                raise click.UsageError(
                    f"--room is refused: seen {room!r}, which has no fact of "
                    f"{place.database}; write another room or database."
                )
            verdicts = prove_all(tried, place, Page(stderr=True))
        page = Page(stderr=file == "-")
        for one in verify_page(verdicts, place):
            page.print(one, soft_wrap=isinstance(one, Text) and not page.is_terminal)
        write(as_json(verdicts, place))
    return int(any_fails(verdicts))


@commands.command()
@place_options
def differences(url: str | None, async_driver: str | None, *, postgres: bool) -> None:
    """List the facts in which the two worlds must differ.

    Beside those that have one stands what to write instead. Nothing is run. A
    database or a driver restricts the list to its own.
    """
    database = database_of(Where(url, postgres, async_driver))
    chosen = database if url is not None or postgres else None
    _print(differences_page(_load(None), chosen, async_driver))


def _print(page: Iterable[RenderableType]) -> None:
    """Print each part of a page as soon as it is there."""
    screen = Page()
    for part in page:
        screen.print(part)


def _load(room: Room | None) -> list[Fact]:
    rooms: list[Room] = [room] if room else []
    return facts.load_facts(*rooms)


def _find(name: str) -> Fact:
    """Return the fact of a name; refuse another with the names that are close."""
    try:
        return facts.find_fact(name)
    except LookupError as error:
        names = [fact.name for fact in facts.load_facts()]
        short = {full.partition(".")[2]: full for full in names}
        close = get_close_matches(name, [*names, *short], n=6, cutoff=0.5)
        full = dict.fromkeys(short.get(one, one) for one in close)
        near = f" Close: {', '.join([*full][:3])}." if full else ""
        raise click.UsageError(f"{error}{near}") from None
