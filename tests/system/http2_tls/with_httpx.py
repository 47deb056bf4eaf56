# SPDX-License-Identifier: Apache-2.0
"""httpx over TLS with HTTP/2, many streams at a time. Argument: the base URL."""
import asyncio
import sys

import httpx

BASE = sys.argv[1]
LARGE = b"0123456789" * 300_000


async def main():
    async with httpx.AsyncClient(http2=True, timeout=60, base_url=BASE) as client:
        async def ask(path, **body):
            answer = await client.request("POST" if body else "GET", path, **body)
            assert answer.http_version == "HTTP/2", (path, answer.http_version)
            return answer

        async def item(path):
            answer = await ask(path)
            assert answer.text == path and answer.headers["x-seen"] == first.headers["x-seen"], path

        async def upload():
            assert (await ask("/echo", content=LARGE)).content == LARGE

        async def refused():
            answer = await ask("/admin/x")
            assert answer.status_code == 403 and answer.json()["rule"] == "no-admin", answer.text

        first = await ask("/first")
        assert first.text == "/first"
        await asyncio.gather(*(item(f"/item/{i}") for i in range(50)),
                             *(f() for f in (upload, refused) for _ in range(3)))
        async with client.stream("GET", "/slowly") as answer:
            assert [line async for line in answer.aiter_lines()][0].startswith("piece 4")
        assert len((await ask("/large")).content) == 5_000_000


asyncio.run(main())
print("httpx fine")
