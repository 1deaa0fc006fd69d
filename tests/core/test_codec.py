"""Payloads: what may be recorded comes back as it was, and what may not is named with its place."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from typing import Any, Literal, NewType, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeterna.durable.core import codec
from aeterna.durable.core.codec import as_text, decode, encode, fingerprint
from aeterna.durable.core.events import Payload
from aeterna.kernel.errors import PayloadTooLargeError, SerializationError

LIMIT = 1 << 20


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Item:
    name: str
    price: decimal.Decimal = decimal.Decimal("1.50")


@dataclasses.dataclass(frozen=True)
class Basket:
    items: list[Item]
    packed: dt.datetime | None = None


class Point(msgspec.Struct):
    x: int
    y: float = 0.5


class Address(pydantic.BaseModel):
    street: str
    since: dt.date


class Row(TypedDict):
    key: int


Money = NewType("Money", int)
WHEN = dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC)
ROUND_TRIPS: list[tuple[Any, Any]] = [
    (None, type(None)),
    (True, bool),
    (1 << 60, int),
    ((1 << 70) + 1, int),
    (-1.5, float),
    ("ünï", str),
    (b"\x00\xff", bytes),
    ([1, "a", None], list),
    ({"a": [1]}, dict),
    ({1: "one"}, dict[int, str]),
    ((1, "a"), tuple[int, str]),
    ({1, 2}, set[int]),
    (frozenset({1}), frozenset[int]),
    ([b"raw"], list[bytes]),
    (bytearray(b"ab"), bytearray),
    (Colour.RED, Colour),
    (Level.HIGH, Level),
    (Item("tea"), Item),
    (Basket([Item("tea")], WHEN), Basket),
    (Point(1), Point),
    (Address(street="High St", since=dt.date(2020, 1, 1)), Address),
    ([Address(street="Low St", since=dt.date(2020, 1, 1))], list[Address]),
    ({"key": 1}, Row),
    (Money(3), Money),
    ("a", Literal["a", "b"]),
    (WHEN, dt.datetime),
    (WHEN.date(), dt.date),
    (WHEN.timetz(), dt.time),
    (dt.timedelta(hours=1, microseconds=3), dt.timedelta),
    (uuid.UUID(int=7), uuid.UUID),
    (decimal.Decimal("0.10"), decimal.Decimal),
]


@pytest.mark.parametrize(("value", "kind"), ROUND_TRIPS, ids=[str(kind) for _, kind in ROUND_TRIPS])
def test_a_supported_value_comes_back_as_what_it_was(value: Any, kind: Any) -> None:
    back = decode(encode(value, "it", LIMIT), kind, "it")
    assert back == value
    assert type(back) is type(value)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(json_values)
def test_plain_json_comes_back_equal_without_a_type(value: Any) -> None:
    assert decode(encode(value, "it", LIMIT), Any, "it") == value


@given(st.binary(max_size=200))
def test_bytes_are_kept_raw(value: bytes) -> None:
    payload = encode(value, "it", LIMIT)
    assert payload == b"b" + value
    assert decode(payload, Any, "it") == value
    assert as_text(payload) == f"<{len(value)} bytes>"


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 9)), st.randoms(use_true_random=False))
def test_equal_inputs_have_equal_fingerprints_whatever_their_order(value: dict[str, int], rng: Any) -> None:
    items = list(value.items())
    rng.shuffle(items)
    assert fingerprint(dict(items), "it") == fingerprint(value, "it")
    assert fingerprint({*value}, "it") == fingerprint({key for key, _ in items}, "it")


def test_other_inputs_have_other_fingerprints() -> None:
    values: list[Any] = [None, 0, "", [], {}, [0], [[]], "0", {"a": 1}, {"a": 2}, b"", [1, 2], [2, 1]]
    # bytes are text to JSON: empty bytes look like an empty text, and both like the same argument of the same step.
    assert len({fingerprint(value, "it") for value in values}) == len(values) - 1


def test_a_fingerprint_never_changes() -> None:
    """Written down: histories hold it."""
    assert fingerprint(("a", 1, {"b": None}), "it").hex() == "f3901d64495575a1"


class Opaque:
    def __repr__(self) -> str:
        return "<opaque " + "x" * 100 + ">"


def loop_of_lists() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


REFUSED: list[tuple[Any, str]] = [
    (Opaque(), r"\$ is a Opaque \(<opaque x+\.\.\.\)"),
    ({"a": [1, Opaque()]}, r"\$\['a'\]\[1\] is a Opaque"),
    ((1, {2: Opaque()}), r"\$\[1\]\[2\] is a Opaque"),
    (Basket([Item("tea"), Opaque()]), r"\$\.items\[1\] is a Opaque"),
    (Point(Opaque()), r"\$\.x is a Opaque"),
    (lambda: 1, r"\$ is a function"),
    (Item, r"\$ is a type"),
    ({(1, 2): "tuple as key"}, r"\$ is a dict"),
    (1j, r"\$ is a complex"),
    ("\ud800", r"\$ is a str"),
    (loop_of_lists(), "a structure that contains itself"),
]


@pytest.mark.parametrize(("value", "place"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_recorded_is_named_with_its_place(value: Any, place: str) -> None:
    with pytest.raises(SerializationError, match="the result of step 'x' cannot be recorded: ") as caught:
        encode(value, "the result of step 'x'", LIMIT)
    assert caught.match(place)
    assert caught.match("JSON types, dataclasses")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("wrap", "place"),
    [(lambda n: n, r"\$"), (lambda n: [None, {"a": n}], r"\$\[1\]\['a'\]"), (lambda n: Point(1, n), r"\$\.y")],
)
def test_numbers_that_json_has_not_are_refused_instead_of_lost(number: float, wrap: Any, place: str) -> None:
    with pytest.raises(SerializationError, match=rf"{place} is -?(nan|inf), which JSON cannot hold"):
        encode(wrap(number), "it", LIMIT)


def test_a_real_none_is_no_lost_number() -> None:
    assert decode(encode([None, "null", 1.0], "it", LIMIT), Any, "it") == [None, "null", 1.0]


def test_a_value_over_the_limit_says_how_large_it_is() -> None:
    with pytest.raises(
        PayloadTooLargeError, match=r"it takes 1,003 bytes, the limit is 1,000.*Limits\.payload_bytes_max"
    ):
        encode("x" * 1_000, "it", 1_000)
    assert len(encode("x" * 997, "it", 1_000)) == 1_000


@pytest.mark.parametrize(
    ("payload", "kind", "problem"),
    [
        (b"j1", str, "does not fit its type str: Expected `str`, got `int`"),
        (b"j[1,2", Any, "does not fit its type"),
        (b'j{"name":"a"}', Point, "does not fit its type Point"),
        (b'j{"street":"a","since":"never"}', Address, "Address"),
        (b"j1", list[int], r"does not fit its type list\[int\]|list"),
        (b'j"x"', Opaque, "cannot be rebuilt"),
        (b"z1", Any, "unknown encoding b'z'; a newer release"),
        (b"", Any, "unknown encoding b''"),
    ],
)
def test_a_payload_that_does_not_fit_its_type_says_both(payload: bytes, kind: Any, problem: str) -> None:
    with pytest.raises(SerializationError, match=f"(?s)the result.*{problem}"):
        decode(Payload(payload), kind, "the result")


@given(st.binary(max_size=60), st.sampled_from([Any, int, Item, Address, list[Point], dict[str, Any]]))
def test_no_payload_does_worse_than_a_clear_error(payload: bytes, kind: Any) -> None:
    try:
        decode(Payload(payload), kind, "it")
    except SerializationError:
        return


def test_an_annotation_that_cannot_be_read_counts_as_none() -> None:
    """Unions of two structs without tags, type variables and unhashable annotations must not stop a workflow."""
    assert codec.decoder(Point | Item).decode(b"1") == 1
    assert codec.decoder([1]).decode(b"1") == 1
    assert codec.decoder(None) is codec.decoder(Any)


def test_text_for_people_is_the_json_itself() -> None:
    assert as_text(encode({"a": 1}, "it", LIMIT)) == '{"a":1}'


def test_object_takes_whatever_comes() -> None:
    assert codec.decode(codec.encode([1, {"a": None}], "x", 100), object, "x") == [1, {"a": None}]
