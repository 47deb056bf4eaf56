# SPDX-License-Identifier: Apache-2.0
"""psycopg 3: binary results, prepared statements, pipelines. Arguments: host port sslmode ca."""
import sys

import psycopg
from psycopg import errors

host, port, sslmode, ca = sys.argv[1:5]
connection = psycopg.connect(host=host, port=port, user="agent", password="x", dbname="shop",
                             sslmode=sslmode, sslrootcert=ca, autocommit=True)
for binary in (False, True):
    for _ in range(8):  # prepared by name after five
        row = connection.execute("SELECT id, name, email, balance, ssn FROM customers WHERE id = %s",
                                 (1,), prepare=True, binary=binary).fetchone()
        assert row[0] == 1 and row[1] == "Ann" and row[3] == 10, row
        assert "example.com" not in row[2] and "078" not in row[4], row

with connection.pipeline():
    first = connection.execute("SELECT 1 + 1")
    try:
        connection.execute("DROP TABLE customers")
        connection.execute("SELECT 3")
        second = first.fetchone()
        connection.execute("SELECT 4").fetchone()
        raise SystemExit("the DROP was not refused")
    except (errors.InsufficientPrivilege, psycopg.errors.PipelineAborted) as error:
        pass
assert connection.execute("SELECT 5").fetchone() == (5,)

with connection.transaction():
    connection.execute("INSERT INTO notes VALUES (%s, %s)", (2, "two"))
    try:
        with connection.transaction():
            connection.execute("ALTER TABLE notes ADD COLUMN z int")
    except errors.InsufficientPrivilege:
        pass
    assert connection.execute("SELECT count(*) FROM notes").fetchone() == (1,)
    raise psycopg.Rollback()

with connection.cursor() as cursor:
    with cursor.copy("COPY (SELECT id, email FROM customers ORDER BY id) TO STDOUT "
                     "(FORMAT binary)") as copy:
        copy.set_types(["int4", "text"])
        rows = list(copy.rows())
    assert [row[0] for row in rows] == [1, 2] and "example.com" not in str(rows), rows
connection.close()
print("ok")
