"""The smallest workflow: one step, one result.

    $ python quickstart.py
    Hello, World!

The run is kept in ``.aeterna/quickstart.db``. With ``AETERNA_SERVER=localhost:7233`` a server keeps it instead
(``aeterna serve``), and nothing here changes.
"""

from __future__ import annotations

from aeterna import App, Context

app = App("quickstart")


@app.step
async def compose(name: str) -> str:
    return f"Hello, {name}!"


@app.workflow
async def greet(ctx: Context, name: str) -> dict[str, str]:
    message = await ctx.step(compose, name)
    return {"message": message}


if __name__ == "__main__":
    print(app.run(greet, "World")["message"])
