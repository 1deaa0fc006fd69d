"""Names of hosts to numeric addresses, without keeping the event loop waiting.

The system's resolver blocks, for half a minute if its server is silent. Each question gets a thread of its own that
nobody waits for at the end; the loop's pool would be joined. The invariant: at most `THREADS_MAX` questions are open.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress

THREADS_MAX = 8

_Answer = asyncio.Future[tuple[str, ...]]

_free = threading.BoundedSemaphore(THREADS_MAX)


async def resolve(host: str) -> tuple[str, ...]:
    """The addresses of a host, IPv4 and IPv6, in the system's order; not empty. Raises `OSError`."""
    if not _free.acquire(blocking=False):
        raise OSError(f"{THREADS_MAX} other questions to the name server are still open")
    loop = asyncio.get_running_loop()
    answer: _Answer = loop.create_future()
    threading.Thread(target=_ask, args=(host, loop, answer), name=f"aeterna-resolve-{host}", daemon=True).start()
    return await answer


def _ask(host: str, loop: asyncio.AbstractEventLoop, answer: _Answer) -> None:
    outcome: tuple[str, ...] | OSError
    try:
        # A host that has the same address twice is asked once.
        outcome = tuple(dict.fromkeys(str(each[4][0]) for each in socket.getaddrinfo(host, None)))
    except OSError as error:
        outcome = error
    except UnicodeError:
        outcome = OSError(f"{host!r} is no name of a host")
    finally:
        _free.release()
    # A loop that has closed meanwhile wants no answer.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, answer, outcome)


def _settle(answer: _Answer, outcome: tuple[str, ...] | OSError) -> None:
    if answer.done():
        return
    if isinstance(outcome, OSError):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
