# SPDX-License-Identifier: Apache-2.0
"""Databases and what is in them come and go, through Chaperone and past it."""
import unittest

from harness import World, wait_until


class Schema(unittest.TestCase):
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
