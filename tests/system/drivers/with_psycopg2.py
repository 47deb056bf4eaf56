# SPDX-License-Identifier: Apache-2.0
"""psycopg2, as any program uses it. Arguments: host port sslmode."""
import io
import select
import sys

import psycopg2
import psycopg2.errors

host, port, sslmode = sys.argv[1:4]
connection = psycopg2.connect(host=host, port=port, user="agent", password="x", dbname="shop",
                              sslmode=sslmode, sslrootcert=sys.argv[4])
cursor = connection.cursor()
cursor.execute("SELECT id, name FROM customers WHERE id = %s", (1,))
assert cursor.fetchall() == [(1, "Ann")]

# A refusal is an ordinary error: the transaction has failed, and goes on after a rollback.
try:
    cursor.execute("DROP TABLE customers")
    raise SystemExit("the DROP was not refused")
except psycopg2.errors.InsufficientPrivilege as error:
    assert "no-ddl" in str(error), error
try:
    cursor.execute("SELECT 1")
    raise SystemExit("the transaction did not fail")
except psycopg2.errors.InFailedSqlTransaction:
    pass
connection.rollback()

# Savepoints undo what failed, and nothing else.
cursor.execute("INSERT INTO notes VALUES (1, 'kept')")
cursor.execute("SAVEPOINT s")
try:
    cursor.execute("TRUNCATE notes")
except psycopg2.errors.InsufficientPrivilege:
    cursor.execute("ROLLBACK TO SAVEPOINT s")
cursor.execute("SELECT count(*) FROM notes")
assert cursor.fetchone() == (1,)
connection.rollback()

out = io.StringIO()
cursor.copy_expert("COPY customers (id, email) TO STDOUT WITH (FORMAT csv)", out)
assert "example.com" not in out.getvalue() and out.getvalue().startswith("1,"), out.getvalue()
cursor.copy_expert("COPY notes FROM STDIN", io.StringIO("7\tseven\n8\teight\n"))
cursor.execute("SELECT body FROM notes ORDER BY id")
assert cursor.fetchall() == [("seven",), ("eight",)]
connection.rollback()

with connection.cursor("server_side") as named:
    named.itersize = 1
    named.execute("SELECT email FROM customers ORDER BY id")
    assert all("example.com" not in row[0] for row in named)
connection.rollback()

# The end of a cancel request says that it was done: it does not hit what is asked afterwards.
for turn in range(40):
    connection.cancel()
    cursor.execute("SELECT pg_sleep(0.02), %s", (turn,))
    assert cursor.fetchone()[1] == turn
connection.close()

# libpq reads while it sends: an answer that came before the whole statement would be waited for
# a second time.
connection = psycopg2.connect(host=host, port=port, user="agent", password="x", dbname="shop",
                              sslmode=sslmode, sslrootcert=sys.argv[4], async_=1)


def finish():
    polled = connection.poll()
    while polled != psycopg2.extensions.POLL_OK:
        reads = [connection] if polled == psycopg2.extensions.POLL_READ else []
        writes = [connection] if polled == psycopg2.extensions.POLL_WRITE else []
        assert any(select.select(reads, writes, [], 30)), "nothing comes"
        polled = connection.poll()


finish()
cursor = connection.cursor()
try:
    cursor.execute("SELECT %s", ("x" * 40_000_000,))
    finish()
    raise SystemExit("the statement was not too large")
except psycopg2.errors.ProgramLimitExceeded as error:
    assert "too large" in str(error), error
cursor.execute("SELECT %s", ("x" * 20_000_000,))
finish()
assert len(cursor.fetchone()[0]) == 20_000_000
connection.close()
print("ok")
