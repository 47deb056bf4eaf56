# SPDX-License-Identifier: Apache-2.0
"""A held statement of a driver: granted, refused, expired, cancelled, abandoned."""
import json
import unittest

from harness import World, run, wait_until
from test_postgres_semantics import bind_execute, fields, q, shape, window

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: approvals}
spec:
  rules:
  - id: deletes-wait
    when: sql.effects.exists(e, e.kind == "delete")
    approve: {by: ["group:dba"], count: 1, within: 2s, scope: statement}
  - id: inserts-wait
    when: sql.effects.exists(e, e.kind == "insert")
    approve: {by: ["group:dba"], count: 1, within: 1m, scope: statement}
  - {id: rest, allow: {unknown: true}}
"""
SCHEMA = "CREATE TABLE t (i int, body text); CREATE TABLE u (i int);"
INSERT = ["P", "ins", "INSERT INTO t VALUES ($1, $2)"]


def bound(number, body):
    return [["B", "", "ins", [str(number), body]], ["E", ""]]


class Approvals(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(policy=POLICY, sql=SCHEMA)
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)

    def setUp(self):
        self.world.db.admin("TRUNCATE t")

    def begin(self, *program):
        """Starts an agent that runs a program, and gives it its end."""
        agent = self.world.chaperone.popen_agent(
            ["/usr/bin/python3", str(self.world.raw_pg()), "127.0.0.1", str(self.world.db.port), "agent",
             "shop", "x"], stdin=-1)
        self.addCleanup(agent.stdout.close)
        self.addCleanup(agent.stderr.close)
        self.addCleanup(agent.wait, 20)
        agent.stdin.write(json.dumps([program]))
        agent.stdin.close()
        agent.stdin = None
        return agent

    def end(self, agent):
        out, err = agent.communicate(timeout=30)
        self.assertEqual(agent.returncode, 0, err)
        return json.loads(out)[0]

    def held(self):
        found = wait_until(
            lambda: self.world.chaperone.json("approval", "list", "--state",
                                              "pending")["approvals"], "a statement is held")
        self.assertEqual(len(found), 1)
        return found[0]

    def state(self, one):
        return self.world.chaperone.json("approval", "show", one["id"])["state"]

    def rows(self):
        return self.world.db.admin("SELECT i, body FROM t ORDER BY i")

    def test_granted_at_bind_with_its_parameters_and_once(self):
        agent = self.begin(window(INSERT), window(*bound(1, "for the approver")), *q("SELECT 1"))
        one = self.held()
        self.assertIn("INSERT INTO t", one["statement"])
        self.assertEqual(one["parameters"], ["1", "for the approver"])
        self.assertEqual(self.rows(), "")
        self.world.chaperone.ok("approval", "grant", one["id"])
        prepared, executed, after = self.end(agent)
        self.assertEqual(shape(prepared), ["1", "Z I"])
        self.assertEqual(shape(executed), ["2", "C INSERT 0 1\0", "Z I"])
        self.assertEqual([tag for tag, _ in executed].count("N"), 1)
        self.assertEqual(shape(after)[-1], "Z I")
        self.assertEqual(self.rows(), "1|for the approver")
        self.assertEqual(self.state(one), "used")
        self.assertNotEqual(self.world.chaperone.cli("approval", "grant", one["id"]).returncode, 0)

    def test_says_where_it_goes_and_what_is_cut(self):
        agent = self.begin(window(INSERT), window(*bound(9, "v" * 5000)))
        one = self.held()
        self.assertEqual(one["destination"]["address"], "127.0.0.1")
        self.assertEqual(one["destination"]["port"], self.world.db.port)
        self.assertEqual((one["database"], one["user"]), ("shop", "agent"))
        self.assertEqual(one["parameters"], ["9", "v" * 4096 + "… (5000 bytes)"])
        shown = self.world.chaperone.ok("approval", "show", one["id"])
        self.assertIn(f"127.0.0.1 port {self.world.db.port}", shown)
        self.world.chaperone.ok("approval", "grant", one["id"])
        self.end(agent)
        self.assertEqual(self.rows(), "9|" + "v" * 5000)

    def test_the_same_again_is_held_again(self):
        agent = self.begin(window(INSERT), window(*bound(2, "a")), window(*bound(2, "a")))
        first = self.held()
        self.world.chaperone.ok("approval", "grant", first["id"])
        second = wait_until(lambda: [one for one in self.world.chaperone.json(
            "approval", "list", "--state", "pending")["approvals"] if one["id"] != first["id"]],
            "the second one is held")[0]
        self.world.chaperone.ok("approval", "refuse", second["id"], "--reason", "once is enough")
        steps = self.end(agent)
        self.assertEqual(shape(steps[2]), ["E refused", "Z I"])
        self.assertIn("once is enough", fields(steps[2][1][1])["M"])
        self.assertEqual(self.rows(), "2|a")

    def test_refused_is_42501_and_the_rest_of_the_window_is_skipped(self):
        agent = self.begin(window(INSERT), window(*bound(3, "a"), ["P", "", "SELECT 1"],
                                                  *bind_execute()), *q("SELECT 1"))
        one = self.held()
        self.world.chaperone.ok("approval", "refuse", one["id"], "--reason", "not today")
        steps = self.end(agent)
        self.assertEqual(shape(steps[1]), ["E refused", "Z I"])
        error = fields(next(body for tag, body in steps[1] if tag == "E"))
        self.assertEqual(error["C"], "42501")
        self.assertIn("not today", error["M"])
        self.assertEqual(shape(steps[2])[-1], "Z I")
        self.assertEqual(self.rows(), "")
        self.assertEqual(self.state(one), "refused")

    def test_refused_within_a_transaction_fails_it(self):
        agent = self.begin(*q("BEGIN", "UPDATE u SET i = 1", "INSERT INTO t VALUES (4)", "COMMIT"))
        self.world.chaperone.ok("approval", "refuse", self.held()["id"], "--reason", "no")
        steps = self.end(agent)
        self.assertEqual(shape(steps[2]), ["E refused", "Z E"])
        self.assertEqual(shape(steps[3]), ["C ROLLBACK\0", "Z I"])

    def test_expired_is_42501(self):
        agent = self.begin(*q("DELETE FROM u", "SELECT 1"))
        steps = self.end(agent)
        error = fields(next(body for tag, body in steps[0] if tag == "E"))
        self.assertEqual(error["C"], "42501")
        self.assertIn("expired", error["M"])
        self.assertEqual(shape(steps[1])[-1], "Z I")

    def test_cancelled_by_the_client_is_57014_and_no_grant_helps(self):
        agent = self.begin(window(INSERT),
                           {"send": [*bound(5, "a"), ["S"]], "until": "N"}, {"cancel": True},
                           {"ready": 1}, *q("SELECT 1"))
        steps = self.end(agent)
        self.assertEqual(shape(steps[2]), ["E 57014", "Z I"])
        self.assertEqual(shape(steps[3])[-1], "Z I")
        one = next(one for one in self.world.chaperone.json("approval", "list", "--all")["approvals"]
                   if one["parameters"] == ["5", "a"])
        self.assertEqual(one["state"], "cancelled")
        self.assertNotEqual(self.world.chaperone.cli("approval", "grant", one["id"]).returncode, 0)
        self.assertEqual(self.rows(), "")

    def test_a_running_statement_is_cancelled_at_the_server(self):
        agent = self.begin({"send": [["Q", "SELECT pg_notify('c', ''); "
                                           "SELECT 'runs-now', pg_sleep(60)"]]},
                           *([{"cancel": True}] * 3), {"ready": 1}, *q("SELECT 1"))
        steps = self.end(agent)
        self.assertEqual(shape(steps[0])[-2:], ["E 57014", "Z I"])

    def test_a_client_that_leaves_withdraws_its_request(self):
        agent = self.begin(window(INSERT), {"send": [*bound(6, "a"), ["S"]], "until": "N"},
                           {"hangup": True})
        self.end(agent)
        one = wait_until(lambda: next(
            (one for one in self.world.chaperone.json("approval", "list", "--all")["approvals"]
             if one["parameters"] == ["6", "a"] and one["state"] != "pending"), None),
            "the approval is withdrawn")
        self.assertEqual(one["state"], "cancelled")
        self.assertNotEqual(self.world.chaperone.cli("approval", "grant", one["id"]).returncode, 0)
        self.assertEqual(self.rows(), "")

    def test_a_governed_process_approves_nothing(self):
        agent = self.begin(window(INSERT), window(*bound(7, "a")))
        one = self.held()
        chaperone = self.world.chaperone
        for user in ("nobody", "root"):
            command = chaperone.run_command(
                chaperone.run_command(["true"])[:1] + ["approval", "grant", one["id"]], user=user)
            done = run(command, env=chaperone.env, cwd="/")
            self.assertNotEqual(done.returncode, 0, user)
            self.assertEqual(self.state(one), "pending")
        chaperone.ok("approval", "refuse", one["id"], "--reason", "done")
        self.assertEqual(shape(self.end(agent)[1]), ["E refused", "Z I"])
        self.assertEqual(self.rows(), "")


if __name__ == "__main__":
    unittest.main()
