"""The client of Restate: calls the handler through the server's ingress and waits for each answer, over HTTP/1.1
connections that stay open, one for each call in flight."""

from __future__ import annotations

import asyncio

from bench.server.lanes import measure, order, say

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def main() -> None:
    given = order()
    idle: list[Connection] = []
    body = str(given["steps"]).encode()
    request = (
        b"POST /bench/steps HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )

    async def run() -> object:
        connection = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", given["port"])
        reader, writer = connection
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        answer = await reader.readexactly(int(length.split(b":")[1]))
        if not head.startswith(b"HTTP/1.1 200") or int(answer) != given["steps"]:
            raise AssertionError(f"Restate answered {head!r} {answer!r}")
        idle.append(connection)
        return answer

    say(await measure(run, given))
    for _, writer in idle:
        writer.close()


if __name__ == "__main__":
    asyncio.run(main())
