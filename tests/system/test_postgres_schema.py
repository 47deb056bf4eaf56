# SPDX-License-Identifier: Apache-2.0
"""Databases and what is in them come and go, through Chaperone and past it."""
import subprocess
import unittest

from harness import World, wait_until


MASKED = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: masked}
spec:
  rules:
  - {id: all, allow: {unknown: true}}
  - id: pii
    mask: [{columns: ["public.people.email"], with: redact}]
"""
PEOPLE = """
CREATE TABLE people (id int, name text, email text);
INSERT INTO people VALUES (1, 'clear', 'secret@example.org');
CREATE TABLE other (x text); INSERT INTO other VALUES ('clear');
CREATE VIEW lower_view AS SELECT email AS e FROM people;
CREATE VIEW upper_view AS SELECT e FROM lower_view;
CREATE SCHEMA apart; CREATE VIEW apart.v AS SELECT email AS e FROM public.people;
"""


class Lineage(unittest.TestCase):
    """What is masked is as the schema is now, whatever has become of it since it was read."""

    @classmethod
    def setUpClass(cls):
        cls.world = World(policy=MASKED)
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)

    def setUp(self):
        self.world.db.admin("DROP OWNED BY app; SET ROLE app; " + PEOPLE, "shop")

    def session(self, *statements):
        """What the last of them gave, in one session."""
        done = self.world.psql(list(statements), "-q", "-v", "ON_ERROR_STOP=1")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip().splitlines()[-1]

    def masked(self, *statements):
        self.assertNotIn(self.session(*statements), ("secret@example.org", "clear"), statements)

    def clear(self, *statements):
        self.assertEqual(self.session(*statements), "clear", statements)

    def test_own_changes(self):
        other = "SELECT 'clear' AS e"
        self.masked("SELECT e FROM upper_view")
        self.masked("CREATE VIEW w AS SELECT e FROM upper_view", "SELECT e FROM w")
        self.clear("CREATE OR REPLACE VIEW lower_view AS SELECT name AS e FROM people",
                   "SELECT e FROM w")
        self.masked("CREATE OR REPLACE VIEW lower_view AS SELECT email AS e FROM people",
                    "SELECT e FROM w")
        self.clear("DROP VIEW w", "CREATE TABLE w AS " + other, "SELECT e FROM w")
        self.masked("DROP TABLE w", "CREATE VIEW w AS SELECT * FROM people",
                    "SELECT email FROM w")
        self.masked("CREATE TABLE child () INHERITS (people)",
                    "INSERT INTO child VALUES (2, 'clear', 'secret@example.org')",
                    "SELECT email FROM child")
        self.clear("ALTER TABLE child NO INHERIT people", "UPDATE child SET email = name",
                   "SELECT email FROM child")

    def test_renames(self):
        self.masked("ALTER VIEW lower_view RENAME TO low", "SELECT e FROM low")
        self.masked("ALTER TABLE people RENAME COLUMN name TO called", "SELECT e FROM upper_view")
        self.masked("ALTER SCHEMA apart RENAME TO aside", "SELECT e FROM aside.v")
        self.masked("ALTER VIEW aside.v SET SCHEMA public", "SELECT e FROM v")
        self.clear("ALTER TABLE people RENAME COLUMN email TO was_email",
                   "ALTER TABLE people RENAME COLUMN called TO email",
                   "UPDATE people SET was_email = 'clear'", "SELECT e FROM upper_view")
        self.masked("SELECT email FROM people")

    def test_rolled_back(self):
        self.masked("BEGIN", "CREATE OR REPLACE VIEW lower_view AS SELECT name AS e FROM people",
                    "ROLLBACK", "SELECT e FROM upper_view")
        self.clear("BEGIN", "ALTER TABLE other RENAME TO was_other",
                   "SAVEPOINT a", "DROP VIEW upper_view", "CREATE TABLE upper_view AS SELECT 1",
                   "ROLLBACK TO a", "COMMIT", "SELECT x FROM was_other")
        self.masked("SELECT e FROM upper_view")

    def test_beside_a_transaction_that_does_not_end(self):
        # It holds the horizon back, so that what was read before is read again and again.
        hold = subprocess.Popen(
            ["psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(self.world.db.port), "-U",
             "postgres", "shop"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.addCleanup(hold.wait)
        self.addCleanup(hold.stdin.close)
        hold.stdin.write("CREATE TABLE held_table (i int);\nBEGIN;\n"
                         "INSERT INTO held_table VALUES (1);\nSELECT pg_advisory_lock(7);\n")
        hold.stdin.flush()
        wait_until(lambda: self.world.db.admin(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "1", "it has begun")
        self.clear("CREATE TABLE one AS SELECT 'clear'::text AS e", "SELECT e FROM one")
        self.masked("DROP TABLE one", "CREATE VIEW one AS SELECT e FROM upper_view",
                    "SELECT e FROM one")
        self.clear("CREATE OR REPLACE VIEW one AS SELECT name AS e FROM people",
                   "SELECT e FROM one")
        self.masked("SELECT e FROM upper_view")

    def test_changes_by_others_are_noticed(self):
        self.masked("SELECT e FROM upper_view")
        self.world.db.admin("SET ROLE app; CREATE OR REPLACE VIEW lower_view AS"
                            " SELECT name AS e FROM people")
        wait_until(lambda: self.session("SELECT e FROM upper_view") == "clear", "it is noticed")
        self.world.db.admin("SET ROLE app; CREATE OR REPLACE VIEW lower_view AS"
                            " SELECT email AS e FROM people")
        for catalog in ("pg_class", "pg_attribute", "pg_rewrite"):  # hides no change
            self.world.db.admin(f"VACUUM (FREEZE, FULL) {catalog}")
        wait_until(lambda: self.session("SELECT e FROM upper_view") not in (
            "clear", "secret@example.org"), "it is noticed")


class Databases(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World()
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)
        cls.world.db.admin("ALTER ROLE app CREATEDB")

    def sql(self, text, database="shop"):
        done = self.world.psql(text, "-v", "ON_ERROR_STOP=1", "-d", database)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def test_a_database_is_dropped_right_after_its_last_session(self):
        # As test runners of frameworks do. PostgreSQL waits 5 s for others to leave it.
        self.sql("CREATE DATABASE short_lived")
        self.assertEqual(self.sql(["CREATE TABLE t (i int)", "SELECT count(*) FROM t"],
                                  "short_lived").split()[-1], "0")
        self.sql("ALTER DATABASE short_lived RENAME TO renamed")
        self.sql("SELECT * FROM t", "renamed")
        self.sql("CREATE DATABASE copy TEMPLATE renamed")
        self.sql("DROP DATABASE renamed")
        self.sql("DROP DATABASE copy")

    def test_a_database_that_is_in_use_is_not(self):
        self.sql("CREATE DATABASE busy")
        with self.world.chaperone.popen_agent(
                ["psql", "-X", "-h", "127.0.0.1", "-p", self.world.db.port, "-U", "agent",
                 "-d", "busy", "-c", "SELECT pg_sleep(60)"],
                env={"PGPASSWORD": "x", "PGSSLMODE": "disable"}) as session:
            try:
                wait_until(lambda: self.world.db.admin(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = 'busy'"
                    " AND state = 'active' AND query LIKE '%pg_sleep%'") == "1",
                    "the session runs")
                done = self.world.psql("DROP DATABASE busy")
                self.assertIn("being accessed by other users", done.stderr)
            finally:
                session.kill()


if __name__ == "__main__":
    unittest.main()
