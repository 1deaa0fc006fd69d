"""An order goes through its four steps; each is recorded, so that a crash repeats none that has finished.

$ python order_processing.py
in stock: laptop
reserved: laptop
paid: 1299.00
shipped: laptop
{'order_id': 'A-1', 'payment': 'pay-A-1', 'tracking': 'track-A-1', 'status': 'completed'}
order A-2 failed: OutOfStock: unicorn is not available
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypedDict

from aeterna import App, Context, RetryPolicy, WorkflowFailedError

app = App("order-processing")
STOCK = {"laptop": 3}


@dataclass
class Order:
    id: str
    item: str
    amount: float


class Receipt(TypedDict):
    order_id: str
    payment: str
    tracking: str
    status: str


class OutOfStock(Exception):
    """The item cannot be delivered."""


@app.step
def check_inventory(item: str) -> None:
    if STOCK.get(item, 0) < 1:
        raise OutOfStock(f"{item} is not available")
    print(f"in stock: {item}")


@app.step
def reserve(order: Order) -> str:
    print(f"reserved: {order.item}")
    return f"hold-{order.id}"


@app.step(retry=RetryPolicy(maximum_attempts=5), timeout=30)
def pay(order: Order) -> str:
    print(f"paid: {order.amount:.2f}")
    return f"pay-{order.id}"


@app.step
def ship(order: Order, reservation: str) -> str:
    print(f"shipped: {order.item}")
    return f"track-{order.id}"


@app.workflow
async def process_order(ctx: Context, order: Order) -> Receipt:
    await ctx.step(check_inventory, order.item)
    reservation = await ctx.step(reserve, order)
    payment = await ctx.step(pay, order)
    tracking = await ctx.step(ship, order, reservation)
    return {"order_id": order.id, "payment": payment, "tracking": tracking, "status": "completed"}


async def main() -> None:
    async with app:
        print(await process_order.start_and_wait(Order("A-1", "laptop", 1299.0)))
        try:
            await process_order.start_and_wait(Order("A-2", "unicorn", 1.0))
        except WorkflowFailedError as failed:
            print(f"order A-2 failed: OutOfStock: {failed.error_message}")


if __name__ == "__main__":
    asyncio.run(main())
