"""The scenarios, in the order of their files."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from types import ModuleType

    from tests.differential._ground import Ground

Body = Callable[..., Any]
B = TypeVar("B", bound=Body)
FILES = (
    *("transactions", "savepoints", "schemas", "autocommit", "levels", "two_phase"),
    *("sessions", "stale", "joining", "values", "wrong_types", "sqlstates", "failures"),
    *("counts", "streams", "texts", "connections", "pools", "plans", "tasks"),
    *("expressions", "batches"),
)


@dataclass(frozen=True)
class Scenario:
    """One body, or one for each world; what it is called with; what it shows."""

    name: str
    says: str
    body: Callable[[Ground], object]
    asyncio: Callable[[Ground], Coroutine[Any, Any, object]] | None = None


def cases(*given: Any) -> Callable[[B], B]:
    """Make a scenario of each case: a tuple is several arguments."""

    def mark(body: B) -> B:
        vars(body)["cases"] = [
            one if isinstance(one, tuple) else (one,) for one in given
        ]
        return body

    return mark


def scenarios() -> list[Scenario]:
    """Return all scenarios."""
    modules = (import_module(f"tests.differential.{name}") for name in FILES)
    return [each for module in modules for each in of_module(module)]


def of_module(module: ModuleType) -> Iterator[Scenario]:
    """Yield the scenarios of a file: its public functions.

    A coroutine function `x_async` is the asyncio body of `x`. An argument `_` is
    the case's name.
    """
    area = module.__name__.rpartition(".")[2]
    for name, body in list(vars(module).items()):
        known = inspect.isfunction(body) and body.__module__ == module.__name__
        if not known or name.startswith("_") or name.endswith("_async"):
            continue
        twin = getattr(module, f"{name}_async", None)
        title, says = f"{area}: {name.replace('_', ' ')}", inspect.getdoc(body) or ""
        for arguments in vars(body).get("cases", [()]):
            told = (
                arguments[:1]
                if "_" in inspect.signature(body).parameters
                else arguments
            )
            label = ", ".join(map(_label, told[:1] + tuple(map(repr, told[1:]))))
            yield Scenario(
                f"{title} [{label}]" if label else title,
                says,
                _bound(body, arguments),
                twin and _bound(twin, arguments),
            )


def _bound(body: Body, arguments: tuple[Any, ...]) -> Callable[[Ground], Any]:
    return lambda ground: body(ground, *arguments)


def _label(argument: object) -> str:
    text = argument if isinstance(argument, str) else repr(argument)
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:37]}..."
