"""What goes into steps and runs, and what comes back."""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pydantic
import pytest

from aeterna import App, Context, Limits, WorkflowFailedError
from aeterna.kernel.errors import SerializationError


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Item:
    name: str
    price: float


class Box(msgspec.Struct):
    items: list[Item]


class Person(pydantic.BaseModel):
    name: str
    born: datetime


SAMPLES: list[tuple[Any, Any]] = [
    (Item("pen", 1.5), Item),
    (Box([Item("pen", 1.5)]), Box),
    (Person(name="Ada", born=datetime(1815, 12, 10, tzinfo=UTC)), Person),
    (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime),
    (uuid.UUID(int=7), uuid.UUID),
    (b"\x00\xff", bytes),
    (Colour.RED, Colour),
    ((1, "a"), tuple[int, str]),
    ({1, 2}, set[int]),
    ({"a": [1, None, True, 2.5]}, dict[str, list[Any]]),
    (None, None),
]


@pytest.mark.parametrize(("value", "kind"), SAMPLES, ids=lambda part: type(part).__name__)
async def test_a_value_comes_back_as_its_annotation_says(value: Any, kind: Any) -> None:
    """The step's result in the workflow and the run's result outside are equal to what was returned, and of its
    type."""
    app = App("values", store="memory:")
    seen: list[Any] = []

    async def give() -> Any:
        return value

    give.__annotations__["return"] = kind
    step = app.step(give)

    async def flow(ctx: Context, given: Any) -> Any:
        seen.append(given)
        seen.append(await step())
        return seen[-1]

    flow.__annotations__.update({"given": kind, "return": kind})
    workflow = app.workflow(flow)
    async with app:
        result = await workflow.start_and_wait(value)
    assert [seen[0], seen[1], result] == [value, value, value]
    assert type(result) is type(value)


async def test_an_unannotated_tuple_comes_back_as_a_list_live_too() -> None:
    """What the workflow sees the first time is what it will see on replay."""
    app = App("values", store="memory:")

    @app.step
    async def pair():  # type: ignore[no-untyped-def]
        return (1, 2)

    @app.workflow
    async def flow(ctx: Context) -> bool:
        return bool(await pair() == [1, 2])

    async with app:
        assert await flow.start_and_wait()


class Opaque:
    def __repr__(self) -> str:
        return "<an open socket>"


async def test_a_step_result_that_cannot_be_recorded_names_the_value_and_the_step() -> None:
    """The error says which step, where in the value, and what would be right; the run fails with it."""
    app = App("values", store="memory:")

    @app.step
    async def connect() -> dict[str, Any]:
        return {"ok": 1, "parts": [1, Opaque()]}

    @app.workflow
    async def flow(ctx: Context) -> Any:
        return await connect()

    async with app:
        with pytest.raises(WorkflowFailedError) as caught:
            await flow.start_and_wait()
    for word in ("step 'connect'", "$['parts'][1]", "Opaque", "<an open socket>", "dataclasses"):
        assert word in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), [1.0, float("inf")], {"a": {"b": float("-inf")}}])
async def test_a_number_that_json_cannot_hold_is_an_error_and_not_a_null(value: Any) -> None:
    """NaN and the infinities are refused with their place."""
    app = App("values", store="memory:")

    @app.workflow
    async def flow(ctx: Context, given: Any) -> Any:
        return given

    async with app:
        with pytest.raises(Exception, match="which JSON cannot hold"):
            await flow.start(value)


async def test_a_result_over_the_limit_names_both_sizes() -> None:
    """The limit, the size and the step are in the message."""
    app = App("values", store="memory:", limits=Limits(payload_bytes_max=1000))

    @app.step
    async def large() -> str:
        return "x" * 2000

    @app.workflow
    async def flow(ctx: Context) -> str:
        return await large()

    async with app:
        with pytest.raises(WorkflowFailedError, match=r"step 'large' takes 2,003 bytes, the limit is 1,000"):
            await flow.start_and_wait()


async def test_arguments_that_do_not_fit_the_function_are_refused_at_the_start() -> None:
    """A wrong call fails in the caller, not in the run."""
    app = App("values", store="memory:")

    @app.workflow
    async def flow(ctx: Context, a: int) -> int:
        return a

    async with app:
        with pytest.raises(TypeError, match="workflow 'flow': missing a required argument: 'a'"):
            await flow.start()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="workflow 'flow'"):
            await flow.start(1, 2)  # type: ignore[call-arg]


async def test_keyword_and_default_arguments_reach_the_workflow_typed() -> None:
    """Keywords are decoded by their annotations too."""
    app = App("values", store="memory:")

    @app.workflow
    async def flow(ctx: Context, a: int, *rest: Item, when: datetime, scale: int = 3, **more: Item) -> list[Any]:
        assert all(isinstance(item, Item) for item in [*rest, *more.values()])
        return [a, len(rest), when.year, scale, sorted(more)]

    async with app:
        result = await flow.start_and_wait(
            1, Item("x", 1), Item("y", 2), when=datetime(2026, 1, 1, tzinfo=UTC), z=Item("z", 3)
        )
    assert result == [1, 2, 2026, 3, ["z"]]


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (("two",), {}, "argument 'count' of workflow 'flow' does not fit its type int"),
        ((1, "pen"), {}, "argument 'item' of workflow 'flow' does not fit its type"),
        ((1,), {"item": 3}, "argument 'item' of workflow 'flow' does not fit its type"),
    ],
)
async def test_an_argument_of_the_wrong_type_is_refused_before_a_run_exists(
    arguments: tuple[Any, ...], keywords: dict[str, Any], message: str
) -> None:
    """The caller hears which argument it is, and nothing is recorded that could never begin."""
    app = App("values", store="memory:")

    @app.workflow
    async def flow(ctx: Context, count: int, item: Item | None = None) -> None: ...

    async with app:
        with pytest.raises(SerializationError) as caught:
            await flow.options(workflow_id="w").start(*arguments, **keywords)
        assert message in str(caught.value)
        assert await (await app.engine()).store.get_run("w") is None
