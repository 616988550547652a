"""What is read from the wire is read wherever the network cuts it."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_layers.drivers._postgresql.wire import Looker, Wire
from tests.postgresql._faults import last_words

LATEST, EARLIEST = b"\x7f\xff\xff\xff", b"\x80\0\0\0"
# A row of one value of each: a date, a timestamp.
INFINITE = [
    b"\0\0\0\x04" + LATEST,
    b"\0\0\0\x04" + EARLIEST,
    b"\0\0\0\x08" + LATEST + b"\xff" * 4,
    b"\0\0\0\x08" + EARLIEST + b"\0" * 4,
]


class Heard(asyncio.Protocol):
    """A protocol that hears nothing."""


def looked(*pieces: bytes) -> bool:
    """Say whether an infinite value may be in what came in these pieces."""
    looker = Looker()
    for piece in pieces:
        looker.feed(piece)
    return looker.found


@pytest.mark.parametrize("value", INFINITE)
def test_infinite_value_is_found_at_every_cut(value: bytes) -> None:
    """In two pieces or three, with and without something around."""
    for around in (b"", b"D\0\0\0\x0e\0\x01"):
        data = around + value + around
        cuts = range(len(data) + 1)
        assert all(
            looked(data[:one], data[one:two], data[two:])
            for one in cuts
            for two in range(one, len(data) + 1)
        )


@given(
    before=st.binary(max_size=20),
    value=st.sampled_from(INFINITE),
    after=st.binary(max_size=20),
    size=st.integers(1, 12),
)
def test_infinite_value_is_found_in_small_pieces(
    before: bytes, value: bytes, after: bytes, size: int
) -> None:
    """Bytes before and after it hide nothing."""
    data = before + value + after
    assert looked(*(data[n : n + size] for n in range(0, len(data), size)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 40,
        struct.pack("!ii", 4, 128),
        # The number 128, and the length of what stands after it.
        struct.pack("!iiiiii", 4, 128, 4, 128, 4, 5),
        b"\x01\x02\x03\x04" + EARLIEST + b"\x01\x02\x03\x04" + EARLIEST,
    ],
)
def test_finite_values_are_passed_over(data: bytes) -> None:
    """What looks like the earliest moment has the length of one before it."""
    assert not looked(data)


def test_what_was_found_stays_found() -> None:
    """Nothing that comes later takes it back."""
    assert looked(INFINITE[0], b"\0" * 9, b"")


def heard(*pieces: bytes) -> dict[str, str]:
    """Return the last words of a server that said this."""
    wire = Wire(Heard())
    for piece in pieces:
        wire.data_received(piece)
    return wire.last_words()


def test_last_words_are_the_fields_of_the_error() -> None:
    """Also behind what came with them, and behind what came before."""
    words = last_words("57P01", "planned")
    for pieces in ([words], [b"Z\0\0\0\x05I" + words], [b"N\0\0\0\x05\0", words]):
        fields = heard(*pieces)
        assert ("57P01", "planned") == (fields["C"], fields["M"])


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"Z\0\0\0\x05I",
        last_words("57P01", "planned").replace(b"FATAL", b"ERROR"),
        last_words("57P01", "planned")[:-9],
        last_words("57P01", "planned" * 400),
    ],
    ids=["nothing", "ready", "error", "cut", "long"],
)
def test_no_last_words_are_told_of_what_ends_no_connection(said: bytes) -> None:
    """An error that a transaction outlives, or half an error, is none."""
    assert {} == heard(said)


def test_nothing_is_kept_while_rows_are_counted() -> None:
    """Results of an executemany are no last words."""
    wire = Wire(Heard())
    wire.count()
    wire.data_received(last_words("57P01", "planned"))
    assert {} == wire.last_words()
    wire.done()
    wire.data_received(last_words("57P01", "planned"))
    assert "57P01" == wire.last_words()["C"]
