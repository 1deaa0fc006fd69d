"""The project that ``aeterna init`` writes."""

from __future__ import annotations

APP = '''\
"""An order is fulfilled in recorded steps. Kill this process at any moment, start it again: it goes on where it was."""

import itertools

from aeterna import App, Context, RetryPolicy

app = App("{name}")

_calls = itertools.count(1)


@app.step
def reserve(order_id: str, count: int) -> str:
    """A plain function runs in a thread; its result is recorded, and it never runs again for this order."""
    return f"{{count}} pieces on shelf 7 for {{order_id}}"


@app.step(retry=RetryPolicy(maximum_attempts=5, initial_interval=0.2))
async def charge(order_id: str, cents: int) -> str:
    """The payment service is down for the first two calls of each process; the policy tries again."""
    if next(_calls) <= 2:
        raise ConnectionError("the payment service does not answer")
    return f"receipt-{{order_id}}-{{cents}}"


@app.step
async def ship(order_id: str) -> str:
    return f"parcel-{{order_id}}"


@app.workflow
async def fulfil(ctx: Context, order_id: str, count: int = 1, pause_s: float = 3.0) -> dict[str, str]:
    place = await reserve(order_id, count)
    receipt = await charge(order_id, count * 995)
    await ctx.sleep(seconds=pause_s)  # Also survives a restart: minutes=, hours= and days= do too.
    return {{"place": place, "receipt": receipt, "parcel": await ship(order_id)}}


if __name__ == "__main__":
    print(app.run(fulfil, "A-1", 2))
'''

TEST = '''\
"""Run it with `pytest`."""

import uuid

from app import app, fulfil


def test_an_order_is_charged_and_shipped(tmp_path):
    app.configure(store=f"sqlite:///{{tmp_path}}/test.db")
    order_id = f"test-{{uuid.uuid4()}}"

    result = app.run(fulfil, order_id, 2, 0.0)

    assert result["receipt"] == f"receipt-{{order_id}}-1990"
    assert result["parcel"] == f"parcel-{{order_id}}"
'''

README = """\
# {name}

A job that never loses its place, made with `aeterna init`. `app.py` has one workflow of three steps; one of them fails
twice and is tried again, and between two of them the workflow sleeps.

    pip install -r requirements.txt
    aeterna run app:fulfil A-1 2 --id order-1

`requirements.txt` names Aeterna as it was installed where this project was made:

    {requirement}

If that is a path, change it before you install the project on another machine.

Now see that it survives: run it with `--id order-2`, press Ctrl-C (or `kill -9` it) while it sleeps, and give the same
command again. It goes on where it was; no finished step runs twice.

    aeterna workflow list
    aeterna workflow history order-2
    aeterna cancel order-2          # from another terminal, while it sleeps
    pytest                          # the test

The runs are kept in `.aeterna/{name}.db`, one SQLite file; `aeterna db backup FILE` copies it while it is used.
"""

REQUIREMENTS = """\
{requirement}
pytest
"""

IGNORED = """\
.aeterna/
.venv/
__pycache__/
.pytest_cache/
"""

_TEMPLATES = {
    "app.py": APP,
    "test_app.py": TEST,
    "README.md": README,
    "requirements.txt": REQUIREMENTS,
    ".gitignore": IGNORED,
}


def render(name: str, requirement: str) -> dict[str, str]:
    """The project's files by name; ``name`` is the app's, ``requirement`` how pip finds Aeterna."""
    return {path: template.format(name=name, requirement=requirement) for path, template in _TEMPLATES.items()}
