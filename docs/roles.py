"""The page of roles, drawn from the table by which the server admits its callers."""

from __future__ import annotations

from collections.abc import Sequence

from aeterna.server.auth import Role
from aeterna.server.verbs import VERBS

HEAD = """\
# Roles

A token has one role in one app's namespace, or in all (see [secure a server](../how-to/secure-a-server.md)). A role
includes those before it: `read-only`, `client`, `worker`, `admin`. This is the table by which the server itself decides
(`VERBS` in `src/aeterna/server/verbs.py`), the same for gRPC, for [HTTP](http-api.md), and for what a worker asks on
its session.

- `read-only` sees that runs are there and how they do, and nothing that user code or users put into them.
- `client` starts runs, tells and asks them, ends them, and sees what they were given and what came of them.
- `worker` executes runs. The program behind it declares its queues, its schedules and how long its runs are kept, in
  code, each time it starts; so it may put those, whichever way it asks.
- `admin` is the operators': what no program declares (pause, trigger, backfill, delete), and the tokens.

A namespace comes to be by what is marked so, once the request is known to be good. Everything else answers 404
(`NOT_FOUND`) for one that is not there, and makes nothing.
"""


def roles_page(note: str) -> str:
    """Every verb with what asks for it, by the role it takes."""
    lines = [note, "", HEAD]
    for role in Role:
        rows = [verb for verb in VERBS.values() if verb.need is role]
        lines += [f"## {role.value}", "", "| verb | gRPC | HTTP | on a session | makes a namespace |", "|---" * 5 + "|"]
        for verb in rows:
            cells = [f"`{verb.name}`", _list(verb.grpc), _list(verb.http), _list(verb.calls), "yes" * verb.creates]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
