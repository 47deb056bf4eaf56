# SPDX-License-Identifier: Apache-2.0
"""A WebSocket server that echoes, and writes down what it was told; arguments: port, log."""
import asyncio
import sys

import websockets


async def echo(socket, path="/"):
    async for message in socket:
        with open(sys.argv[2], "a", encoding="utf-8") as log:
            log.write(f"{message!r}"[:200] + "\n")
        await socket.send(message)


async def main():
    async with websockets.serve(echo, "127.0.0.1", int(sys.argv[1]), max_size=None):
        await asyncio.Future()


asyncio.run(main())
