# SPDX-License-Identifier: Apache-2.0
"""Unchanged drivers in the governed cgroup, with TLS and without."""
import os
import unittest
from pathlib import Path

from harness import World, run
from test_main_job import SCHEMA

# Where Debian's packages and npm put modules for everybody.
NODE_PATH = "/usr/share/nodejs:/usr/lib/node_modules:/usr/local/lib/node_modules"
HERE = Path(__file__).resolve().parent
DRIVERS = HERE / "drivers"
POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: drivers}
spec:
  rules:
  - id: no-ddl
    when: sql.effects.exists(e, e.kind in ["create", "alter", "drop", "truncate"])
    deny: {reason: "agents do not change the schema"}
  - id: pii
    mask:
    - {columns: ["public.customers.email", "*.ssn"], with: redact}
  - {id: rest, allow: {unknown: true}}
"""


class Drivers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(policy=POLICY, sql=SCHEMA + "CREATE TABLE notes (id int, body text);")
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)
        cls.ca = cls.world.folder / "agents-ca.pem"
        cls.ca.write_text(cls.world.chaperone.ok("ca", "show"))
        os.chmod(cls.ca, 0o644)
        # What agents run must be readable by them, wherever the checkout is.
        cls.scripts = cls.world.folder / "drivers"
        cls.scripts.mkdir()
        for source in DRIVERS.iterdir():
            if source.is_file():
                (cls.scripts / source.name).write_bytes(source.read_bytes())
                os.chmod(cls.scripts / source.name, 0o644)

    def drive(self, *command):
        for sslmode in ("disable", "verify-full"):
            with self.subTest(sslmode=sslmode):
                arguments = ["127.0.0.1", str(self.world.db.port), sslmode, str(self.ca)]
                done = self.world.chaperone.agent([*command, *arguments], timeout=120,
                                                  env={"NODE_PATH": NODE_PATH})
                self.assertEqual(done.stdout.strip(), "ok", done.stderr[-3000:])
        self.assertNotIn("DROP TABLE", self.world.db.server_log())

    def test_psycopg2(self):
        self.drive("/usr/bin/python3", self.scripts / "with_psycopg2.py")

    def test_psycopg(self):
        self.drive("/usr/bin/python3", self.scripts / "with_psycopg.py")

    def test_asyncpg(self):
        self.drive("/usr/bin/python3", self.scripts / "with_asyncpg.py")

    def test_node_postgres(self):
        self.drive("node", self.scripts / "with_node_pg.js")

    def test_jdbc(self):
        built = run(["javac", "-d", self.scripts, self.scripts / "WithJdbc.java"])
        self.assertEqual(built.returncode, 0, built.stderr)
        os.chmod(self.scripts / "WithJdbc.class", 0o644)
        self.drive("java", "-cp", f"{self.scripts}:/usr/share/java/postgresql.jar", "WithJdbc")

    def test_libpq_pipeline(self):
        program = self.scripts / "with_libpq"
        built = run(["clang-19", "-I/usr/include/postgresql", self.scripts / "with_libpq.c", "-o",
                     program, "-lpq"])
        self.assertEqual(built.returncode, 0, built.stderr)
        for ssl in ("sslmode=disable", f"sslmode=verify-full sslrootcert={self.ca}"):
            conninfo = f"host=127.0.0.1 port={self.world.db.port} user=agent dbname=shop {ssl}"
            done = self.world.chaperone.agent([program, conninfo])
            self.assertEqual(done.stdout.strip(), "ok", done.stderr)


if __name__ == "__main__":
    unittest.main()
