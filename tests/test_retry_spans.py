"""What OpenTelemetry is told of a transaction that is run again."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from async_layers import Retry, attempt_number
from tests._calls import calling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer
    from sqlalchemy import Connection

    from tests._calls import Caller

AGAIN = Retry(wait_initial=0, attempts=2, retryable=lambda _: True)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Return what keeps the spans."""
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Tracer:
    """Return a tracer of this test alone."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("tests")


@pytest.fixture(params=["blocking", "asyncio"])
def caller(request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[Caller]:
    """Return what runs functions in each world."""
    with calling(sqlite_url, request.param) as found:
        yield found


def failing(times: int, connection: Connection) -> None:
    """Ask the database for something, and fail so often."""
    connection.scalar(text("SELECT 1"))
    if attempt_number() <= times:
        raise LookupError


def told(caller: Caller, tracer: Tracer, times: int) -> None:
    """Run a function that fails so often, in a span."""
    with tracer.start_as_current_span("request"):
        caller.run(lambda connection: failing(times, connection), AGAIN)


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    """Return the one span."""
    (span,) = exporter.get_finished_spans()
    return span


def test_a_span_says_how_often_it_ran_and_how_it_ended(
    caller: Caller, tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    """Its attributes are the attempts and the outcome, its events the failures."""
    told(caller, tracer, 1)
    span = only(exporter)
    assert {
        "async_layers.transaction.attempts": 2,
        "async_layers.transaction.outcome": "committed",
    } == span.attributes
    (event,) = span.events
    assert "async_layers.transaction.again" == event.name
    assert {
        "async_layers.transaction.attempt": 1,
        "async_layers.transaction.reason": "as retryable says",
        "async_layers.transaction.pause": 0.0,
        "error.type": "LookupError",
    } == event.attributes


def test_a_span_of_a_call_that_fails_says_so(
    caller: Caller, tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    """The outcome is that of the last attempt."""
    with pytest.raises(LookupError):
        told(caller, tracer, 2)
    assert {
        "async_layers.transaction.attempts": 2,
        "async_layers.transaction.outcome": "rolled back",
    } == only(exporter).attributes


def test_a_transaction_that_never_began_has_no_outcome(
    tracer: Tracer, exporter: InMemorySpanExporter
) -> None:
    """Where there is no server, there is nothing to end."""
    with calling("postgresql://127.0.0.1:1/nowhere", "blocking") as caller:
        with pytest.raises(Exception, match="refused"):
            told(caller, tracer, 0)
    span = only(exporter)
    assert {"async_layers.transaction.attempts": 2} == span.attributes
    assert ["async_layers.transaction.again", "exception"] == [
        event.name for event in span.events
    ]


def test_without_opentelemetry_nothing_is_told(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that has never imported it has no span."""
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    caller.run(lambda connection: failing(1, connection), AGAIN)


def test_without_a_span_nothing_is_told(caller: Caller) -> None:
    """It is installed, and nobody records."""
    caller.run(lambda connection: failing(1, connection), AGAIN)


PROGRAM = """
import sys
from async_layers import create_engine, run_transaction
run_transaction(create_engine("sqlite://"), lambda connection: None)
print([name for name in ("opentelemetry", "tenacity") if name in sys.modules])
"""


def test_what_nobody_needs_is_not_imported() -> None:
    """A program without spans and without failures pays for neither."""
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "[]\n" == done.stdout
