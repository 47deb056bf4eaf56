# SPDX-License-Identifier: Apache-2.0
"""asyncpg: describes once, executes often, all binary. Arguments: host port sslmode ca."""
import asyncio
import ssl
import sys

import asyncpg

host, port, sslmode, ca = sys.argv[1:5]


async def main():
    context = False
    if sslmode != "disable":
        context = ssl.create_default_context(cafile=ca)
    connection = await asyncpg.connect(host=host, port=int(port), user="agent", password="x",
                                       database="shop", ssl=context)
    statement = await connection.prepare("SELECT id, email, balance FROM customers WHERE id = $1")
    for _ in range(3):
        row = await statement.fetchrow(2)
        assert row["id"] == 2 and row["balance"] == 20, row
        assert "example.com" not in row["email"], row
    try:
        await connection.execute("DROP TABLE customers")
        raise SystemExit("the DROP was not refused")
    except asyncpg.InsufficientPrivilegeError as error:
        assert "no-ddl" in str(error), error
    async with connection.transaction():
        async for record in connection.cursor("SELECT email FROM customers"):
            assert "example.com" not in record["email"]
    await connection.executemany("SELECT $1::int", [(i,) for i in range(20)])
    heard = asyncio.get_running_loop().create_future()
    await connection.add_listener("news", lambda *args: heard.done() or heard.set_result(args[3]))
    await connection.execute("SELECT pg_notify('news', 'hello')")
    assert await asyncio.wait_for(heard, 10) == "hello"
    try:
        await connection.fetch("SELECT pg_sleep(30)", timeout=0.5)
        raise SystemExit("the query was not cancelled")
    except asyncio.TimeoutError:
        pass
    assert await connection.fetchval("SELECT 6") == 6
    await connection.close()


asyncio.run(main())
print("ok")
