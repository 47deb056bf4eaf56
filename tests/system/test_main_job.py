# SPDX-License-Identifier: Apache-2.0
"""The main job on real parts: read, mask, refuse, hold, record."""
import json
import unittest

from harness import World, Postgres, wait_until

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, ssn text, balance int);
INSERT INTO customers VALUES (1,'Ann','ann@example.com','078-05-1120',10),
                             (2,'Bob','bob@example.com','219-09-9999',20);
CREATE VIEW contacts AS SELECT id, email AS mail FROM customers;
"""

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: orders-guardrails}
spec:
  mode: enforce
  when: resource.labels.env == "prod"
  rules:
  - id: no-ddl
    when: sql.effects.exists(e, e.kind in ["create", "alter", "drop", "truncate"])
    deny: {reason: "agents do not change the schema", hint: "open a migration request"}
  - id: writes-need-a-person
    when: sql.writes.size() > 0
    approve: {by: ["group:dba"], count: 1, within: 1m, scope: statement}
  - id: pii
    mask:
    - {columns: ["public.customers.email", "*.ssn"], with: redact}
  - id: reads
    when: sql.effects.all(e, e.kind in ["read", "copy_out", "transaction", "session"])
    allow: {}
  - id: writes
    when: sql.effects.all(e, e.kind in ["read", "insert", "update", "delete"])
    allow: {}
"""


class MainJob(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(policy=POLICY, sql=SCHEMA)
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)

    def test_reads_rows_with_its_own_settings(self):
        done = self.world.psql("SELECT id, name FROM customers ORDER BY id")
        self.assertEqual(done.stdout, "1|Ann\n2|Bob\n", done.stderr)

    def test_sees_masked_columns_by_whatever_way(self):
        for sql in ("SELECT email FROM customers", "SELECT mail FROM contacts",
                    "SELECT upper(email) FROM customers",
                    "WITH c AS (SELECT * FROM customers) SELECT c.email FROM c",
                    "SELECT customers FROM customers",
                    "COPY customers (email) TO STDOUT",
                    "SELECT ssn FROM customers UNION SELECT email FROM customers"):
            done = self.world.psql(sql)
            self.assertEqual(done.returncode, 0, f"{sql}: {done.stderr}")
            for leak in ("example.com", "EXAMPLE.COM", "078-05", "219-09"):
                self.assertNotIn(leak, done.stdout, sql)

    def test_is_refused_a_drop_and_goes_on(self):
        done = self.world.psql(["DROP TABLE customers", "SELECT count(*) FROM customers"])
        self.assertIn("no-ddl", done.stderr)
        self.assertIn("agents do not change the schema", done.stderr)
        self.assertEqual(done.stdout.strip(), "2")
        self.assertNotIn("DROP TABLE customers", self.world.db.server_log())

    def test_an_update_waits_for_a_person(self):
        world = self.world
        agent = world.chaperone.popen_agent(
            ["psql", "-X", "-h", "127.0.0.1", "-p", str(world.db.port), "-U", "agent", "-d", "shop",
             "-c", "UPDATE customers SET balance = 11 WHERE id = 1"],
            env={"PGSSLMODE": "disable"})
        held = wait_until(
            lambda: world.chaperone.json("approval", "list", "--state", "pending")["approvals"],
            "the update is held")
        self.assertEqual(len(held), 1)
        self.assertIn("UPDATE customers", held[0]["statement"])
        self.assertEqual(world.db.admin("SELECT balance FROM customers WHERE id=1"), "10")
        world.chaperone.ok("approval", "grant", held[0]["id"], "--reason", "looks right")
        out, err = agent.communicate(timeout=30)
        self.assertEqual(agent.returncode, 0, err)
        self.assertIn("UPDATE 1", out)
        self.assertIn("waiting for approval", err)
        self.assertEqual(world.db.admin("SELECT balance FROM customers WHERE id=1"), "11")

    def test_everything_is_in_the_journal(self):
        self.world.psql("SELECT 'find-me-in-the-journal'")
        sessions = self.world.chaperone.json("session", "list")["sessions"]
        self.assertTrue(sessions)
        self.assertEqual(sessions[0]["workload"], "billing-agent")
        self.assertEqual(sessions[0]["subject"], "agent:billing")
        self.assertEqual(sessions[0]["resource"], "orders")
        found = self.world.chaperone.json("session", "list", "--text", "find-me-in-the-journal")
        self.assertEqual(len(found["sessions"]), 1, json.dumps(found))
        replay = self.world.chaperone.ok("session", "replay", found["sessions"][0]["id"])
        self.assertIn("find-me-in-the-journal", replay)
        self.world.chaperone.ok("journal", "verify")

    def test_the_credential_is_nowhere_the_agent_looks(self):
        done = self.world.chaperone.agent(["sh", "-c", "env; cat /proc/self/cmdline"])
        self.assertNotIn(Postgres.PASSWORD, done.stdout)
        self.assertNotIn(Postgres.PASSWORD, self.world.chaperone.log())
        journal = self.world.chaperone.root / "var/lib/chaperone/journal"
        for path in journal.rglob("*"):
            if path.is_file():
                self.assertNotIn(Postgres.PASSWORD.encode(), path.read_bytes())


if __name__ == "__main__":
    unittest.main()
