# SPDX-License-Identifier: Apache-2.0
"""The websockets library against ws_server.py: prints "fine" or fails."""
import asyncio
import sys

import websockets


async def main(url):
    for compression in ("deflate", None):
        async with websockets.connect(url + "/chat", compression=compression,
                                      max_size=None) as socket:
            for message in ("hello", "", "\u00e4\u20ac" * 5000, b"\0\1\2" * 1000, "x" * 500_000):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(iter(["in ", "three ", "parts"]))
            assert await socket.recv() == "in three parts"
            await asyncio.wait_for(await socket.ping(), 10)
            await socket.send("a secret of ours")
            try:
                await socket.recv()
                raise AssertionError("it went through")
            except websockets.ConnectionClosed as closed:
                assert closed.rcvd.code == 1008, closed
                assert "no-secrets" in closed.rcvd.reason, closed
    # Where no rule looks, large messages stream through.
    async with websockets.connect(url + "/plain", max_size=None, compression=None) as socket:
        large = "y" * 4_000_000
        await socket.send(large)
        assert await socket.recv() == large
        await socket.send("a secret of ours")
        assert await socket.recv() == "a secret of ours"
    try:
        async with websockets.connect(url + "/admin/chat"):
            raise AssertionError("the upgrade was refused")
    except websockets.InvalidStatusCode as refused:
        assert refused.status_code == 403
    print("fine")


asyncio.run(main(sys.argv[1]))
