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
        self.world.db.admin("DROP SCHEMA IF EXISTS apart, aside, public CASCADE; "
                            "CREATE SCHEMA public AUTHORIZATION app; SET ROLE app; " + PEOPLE)

    def session(self, *statements):
        """What the last of them gave, in one session."""
        done = self.world.psql(list(statements), "-q", "-v", "ON_ERROR_STOP=1")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip().splitlines()[-1]

    def owner(self, sql):
        """Past Chaperone: agents may not copy what is masked, and not define views on it."""
        self.world.db.admin("SET ROLE app; " + sql)

    def masked(self, *statements):
        self.assertNotIn(self.session(*statements), ("secret@example.org", "clear"), statements)

    def clear(self, *statements):
        self.assertEqual(self.session(*statements), "clear", statements)

    def becomes_masked(self, query):
        wait_until(lambda: self.session(query) not in ("secret@example.org", "clear"), query)

    def becomes_clear(self, query):
        wait_until(lambda: self.session(query) == "clear", query)

    def test_own_changes(self):
        self.masked("SELECT e FROM upper_view")
        self.clear("CREATE VIEW w AS SELECT name AS e FROM people", "SELECT e FROM w")
        self.clear("DROP VIEW w", "CREATE TABLE w AS SELECT 'clear'::text AS e", "SELECT e FROM w")
        self.clear("CREATE OR REPLACE VIEW lower_view AS SELECT name AS e FROM people",
                   "SELECT e FROM upper_view")
        self.masked("SELECT email FROM people")
        self.clear("CREATE TABLE child () INHERITS (other)", "INSERT INTO child VALUES ('clear')",
                   "SELECT x FROM child")

    def test_changes_by_others(self):
        self.masked("SELECT e FROM upper_view")
        self.owner("CREATE OR REPLACE VIEW lower_view AS SELECT name AS e FROM people")
        self.becomes_clear("SELECT e FROM upper_view")
        self.owner("CREATE OR REPLACE VIEW lower_view AS SELECT email AS e FROM people")
        for catalog in ("pg_class", "pg_attribute", "pg_rewrite"):  # which hides no change
            self.world.db.admin(f"VACUUM (FREEZE, FULL) {catalog}")
        self.becomes_masked("SELECT e FROM upper_view")
        self.owner("CREATE TABLE child () INHERITS (people);"
                   "INSERT INTO child VALUES (2, 'clear', 'secret@example.org')")
        self.becomes_masked("SELECT email FROM child")
        self.owner("ALTER TABLE child NO INHERIT people; UPDATE child SET email = name")
        self.becomes_clear("SELECT email FROM child")
        self.owner("DROP TABLE child; CREATE VIEW child AS SELECT * FROM upper_view")
        self.becomes_masked("SELECT e FROM child")

    def test_renames(self):
        self.owner("ALTER VIEW lower_view RENAME TO low")
        self.becomes_masked("SELECT e FROM low")
        self.owner("ALTER TABLE people RENAME COLUMN name TO called")
        self.becomes_masked("SELECT e FROM upper_view")
        self.owner("ALTER SCHEMA apart RENAME TO aside")
        self.becomes_masked("SELECT e FROM aside.v")
        self.owner("ALTER VIEW aside.v SET SCHEMA public")
        self.becomes_masked("SELECT e FROM v")
        self.owner("ALTER TABLE people RENAME COLUMN email TO was_email;"
                   "ALTER TABLE people RENAME COLUMN called TO email;"
                   "UPDATE people SET was_email = 'clear'")
        self.becomes_clear("SELECT e FROM upper_view")
        self.masked("SELECT email FROM people")

    def test_rolled_back(self):
        replaced = ["BEGIN", "CREATE OR REPLACE VIEW lower_view AS SELECT name AS e FROM people",
                    "ROLLBACK"]
        # Refused as long as it is not known what `people` is now.
        wait_until(lambda: self.world.psql(replaced, "-v", "ON_ERROR_STOP=1").returncode == 0,
                   "the new tables are known")
        self.masked(*replaced, "SELECT e FROM upper_view")
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
        # Its change is committed after others, with an older number than theirs.
        hold.stdin.write("BEGIN;\nSET ROLE app;\nCREATE VIEW late AS SELECT email AS e FROM people;"
                         "\nSELECT pg_advisory_lock(7);\n")
        hold.stdin.flush()
        wait_until(lambda: self.world.db.admin(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "1", "it has begun")
        self.clear("CREATE TABLE one AS SELECT 'clear'::text AS e", "SELECT e FROM one")
        self.clear("DROP TABLE one", "CREATE VIEW one AS SELECT name AS e FROM people",
                   "SELECT e FROM one")
        self.masked("SELECT e FROM upper_view")
        hold.stdin.write("COMMIT;\nSELECT pg_advisory_unlock(7);\n")
        hold.stdin.flush()
        wait_until(lambda: self.world.db.admin(
            "SELECT count(*) FROM pg_class WHERE relname = 'late'") == "1", "it is over")
        self.becomes_masked("SELECT e FROM late")
        self.clear("SELECT e FROM one")


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
