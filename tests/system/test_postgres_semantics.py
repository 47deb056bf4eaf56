# SPDX-License-Identifier: Apache-2.0
"""A refused statement leaves the session exactly as a native error would.

Each program of messages runs twice: on a direct line, where a text that never parses stands in the
place of the refused statement, and through Chaperone. What came back must be the same, message by
message, but for the error's own fields; and so must be what the tables hold at the end.
"""
import json
import random
import unittest

from harness import World, run

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: semantics}
spec:
  rules:
  - id: no-ddl
    when: sql.effects.exists(e, e.kind in ["create", "alter", "drop", "truncate"])
    deny: {reason: "agents do not change the schema"}
  - id: no-secrets
    when: sql.effects.exists(e, e.object == "public.secrets")
    deny: {reason: "not yours"}
  - {id: rest, allow: {unknown: true}}
"""
SCHEMA = "CREATE TABLE t (i int); CREATE TABLE secrets (never_seen_column int);"

REFUSED = "DROP TABLE never_seen_marker"
NATIVE = "SELEC never"
ROLLBACK = {"send": [["Q", "ROLLBACK"]], "ready": 1}


def q(*texts):
    """One step for each text, in messages of their own."""
    return [{"send": [["Q", one]], "ready": 1} for one in texts]


def window(*messages):
    return {"send": [*messages, ["S"]], "ready": 1}


def bind_execute(statement="", portal=""):
    return [["B", portal, statement], ["E", portal]]


def statement(sql):
    return [["P", "", sql], *bind_execute()]


D = "{denied}"
PROGRAMS = {
    "alone": q(D, "SELECT 1"),
    "explicit transaction": q("BEGIN", "INSERT INTO t VALUES (1)", D, "SELECT 1", "COMMIT",
                              "SELECT 2"),
    "savepoints": q("BEGIN", "INSERT INTO t VALUES (2)", "SAVEPOINT a", D,
                    "ROLLBACK TO a", "INSERT INTO t VALUES (3)", "COMMIT"),
    "nested savepoints": q("BEGIN", "SAVEPOINT a", "INSERT INTO t VALUES (4)", "SAVEPOINT b", D,
                           "SELECT 1", "ROLLBACK TO b", "RELEASE b", "COMMIT"),
    "failed transaction stays failed": q("BEGIN", "SELECT 1/0", D, "SELECT 1", "ROLLBACK"),
    "implicit transaction of a multi-statement query": q(
        f"INSERT INTO t VALUES (5); {D}; INSERT INTO t VALUES (6)", "SELECT 1"),
    "multi-statement query in a transaction": q(
        "BEGIN", f"INSERT INTO t VALUES (7); {D}", "SELECT 1", "COMMIT"),
    "two windows in flight": [
        {"send": [["Q", "BEGIN"], ["Q", D], ["Q", "INSERT INTO t VALUES (8)"], ["Q", "COMMIT"]],
         "ready": 4}],
    "pipelined window": [
        window(*statement("INSERT INTO t VALUES (9)"), *statement(D),
               *statement("INSERT INTO t VALUES (10)")), *q("SELECT 1")],
    "pipelined windows": [
        {"send": [*statement("INSERT INTO t VALUES (11)"), ["S"], *statement(D), ["S"],
                  *statement("INSERT INTO t VALUES (12)"), ["S"]], "ready": 3}],
    "extended in a transaction": [
        *q("BEGIN"), window(*statement(D)), window(*statement("SELECT 1")), *q("COMMIT")],
    "extended error before the refused one": [
        window(*statement("SELECT 1/0"), *statement(D), *statement("SELECT 1")), *q("SELECT 1")],
    "refused first": [window(*statement(D), *statement("INSERT INTO t VALUES (13)")),
                      *q("SELECT 1")],
    "refused behind what may undo settings": [
        window(*statement("ROLLBACK"), *statement(D)),
        *q("BEGIN", "SET standard_conforming_strings = off"),
        window(*statement("ROLLBACK"), *statement(D), *statement("INSERT INTO t VALUES (15)")),
        *q("SELECT 1")],
    "Flush before Sync": [
        {"send": [*statement(D), ["H"]], "until": "E"}, {"send": [["S"]], "ready": 1},
        *q("SELECT 1")],
    "a query within a window": [
        {"send": [*statement("INSERT INTO t VALUES (14)"), ["Q", D]], "ready": 1}, *q("SELECT 1")],
    "re-use of a name after its refused Parse": [
        window(["P", "s", D]), window(*bind_execute("s")),
        window(["P", "s", "SELECT 3"]), window(*bind_execute("s"))],
    "a refused Parse keeps the named one": [
        window(["P", "s", "SELECT 4"]), window(["P", "s", D]), window(*bind_execute("s")),
        window(["C", "S", "s"], ["P", "s", "SELECT 5"], *bind_execute("s"))],
    "a refused unnamed Parse takes the unnamed one away": [
        window(["P", "", "SELECT 6"]), window(["P", "", D]), window(*bind_execute())],
    "Describe and Close behind a refused Parse": [
        window(["P", "s", D], ["D", "S", "s"], ["C", "S", "s"]), *q("SELECT 1")],
    "a portal lives on in its transaction until the error": [
        *q("BEGIN"),
        {"send": [["P", "p", "SELECT generate_series(1, 5)"], ["B", "c", "p"], ["E", "c", 2],
                  ["S"]], "ready": 1},
        window(["E", "c", 2]), window(*statement(D)), window(["E", "c", 1]), *q("ROLLBACK")],
    "copy in, fails, goes on": [
        {"send": [["Q", "COPY t FROM STDIN"]], "until": "G"},
        {"send": [["d", "20\n"], ["f", "no"]], "ready": 1}, *q("SELECT 1")],
    "copy in, then refused": [
        {"send": [["Q", "COPY t FROM STDIN"]], "until": "G"},
        {"send": [["d", "21\n"], ["c"]], "ready": 1}, *q(D, "SELECT 1")],
    "copy in by the extended protocol, Syncs sent ahead": [
        {"send": [*statement("COPY t FROM STDIN"), ["S"], ["d", "22\n"], ["c"], ["S"]],
         "ready": 1}, *q(D, "SELECT 1")],
    "copy out": [*q("BEGIN", "COPY (SELECT 1) TO STDOUT", D, "ROLLBACK")],
    "empty query": [*q("", ";"), window(*statement(""))],
    "unknown prepared statement": [window(*bind_execute("nobody")), *q("SELECT 1")],
    "unknown portal": [window(["E", "nobody"]), *q("SELECT 1")],
    "rows in portions": [
        *q("BEGIN"), window(*statement("SELECT generate_series(1, 3)")),
        {"send": [["P", "", "SELECT generate_series(1, 9)"], ["B", "", ""], ["E", "", 4],
                  ["E", "", 4], ["E", "", 4], ["S"]], "ready": 1}, *q("COMMIT")],
    "discard all": q("DISCARD ALL", "SELECT 1"),
    "a commit that fails": q("CREATE TEMP TABLE x AS SELECT 1", "BEGIN", "SELECT 1/0", "COMMIT"),
}


def random_program(chance):
    """Windows of statements that succeed, fail and are refused, within and without transactions,
    each by the simple or by the extended protocol; the transaction is over at the end."""
    texts = ("SELECT 1", "SELECT 1/0", D, "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a",
             "ROLLBACK TO a", "RELEASE a", "INSERT INTO t VALUES (%d)", "", NATIVE,
             f"INSERT INTO t VALUES (%d); {D}", f"SELECT 1; {D}; SELECT 2", "BEGIN; SELECT 1",
             f"BEGIN; INSERT INTO t VALUES (%d); {D}; COMMIT", "SELECT 1/0; COMMIT")

    def text(most):
        one = chance.choice(texts[:most])
        return one % chance.randrange(1000) if "%d" in one else one
    steps = []
    for _ in range(chance.randrange(3, 12)):
        if chance.random() < 0.5:
            steps += q(text(len(texts)))
            continue
        names = ["", "s"]
        messages = []
        for _ in range(chance.randrange(1, 5)):
            name = chance.choice(names)
            messages += chance.choice((
                [["P", name, text(11)], *bind_execute(name)], [["P", name, text(11)]],
                bind_execute(name), [["C", "S", name]], [["P", name, text(11)], ["D", "S", name]]))
        steps.append(window(*messages))
    return [*steps, *q("ROLLBACK", "SELECT 1")]


def filled(program, denied):
    return json.loads(json.dumps(program).replace(D, denied))


def fields(body):
    return {part[:1].decode(): part[1:].decode() for part in bytes.fromhex(body).split(b"\0")
            if part}


def shape(messages):
    """What must be equal: tags, transaction states, command tags, rows, codes of errors."""
    out = []
    for tag, body in messages:
        if tag in "NS":
            continue
        if tag == "E":
            code = fields(body)["C"]
            out.append("E refused" if code in ("42501", "42601") else "E " + code)
        elif tag in ("Z", "C", "D", "d"):
            out.append(tag + " " + bytes.fromhex(body).decode(errors="replace"))
        else:
            out.append(tag)
    return out


class Semantics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(policy=POLICY, sql=SCHEMA)
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)

    def setUp(self):
        self.table()

    def command(self, user):
        return ["/usr/bin/python3", str(self.world.raw_pg()), "127.0.0.1", str(self.world.db.port), user,
                "shop", "x"]

    def governed(self, programs):
        done = self.world.chaperone.agent(self.command("agent"), input=json.dumps(programs),
                                          timeout=200)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def direct(self, programs):
        done = run(self.command("postgres"), input=json.dumps(programs), timeout=200)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def table(self):
        rows = self.world.db.admin("SELECT i FROM t ORDER BY i")
        self.world.db.admin("DELETE FROM t")
        return rows

    def test_refused_as_natively_failed(self):
        named = {name: program for name, program in PROGRAMS.items() if "TEMP" not in str(program)}
        native = self.direct([filled(one, NATIVE) for one in named.values()])
        rows = self.table()
        ours = self.governed([filled(one, REFUSED) for one in named.values()])
        for name, left, right in zip(named, native, ours):
            with self.subTest(name):
                self.assertEqual([shape(step) for step in right], [shape(step) for step in left])
        self.assertEqual(self.table(), rows)
        self.assertNotIn("never_seen_marker", self.world.db.server_log())

    def test_random_programs(self):
        chance = random.Random(20261128)
        programs = [random_program(chance) for _ in range(400)]
        native = self.direct([filled(one, NATIVE) for one in programs])
        rows = self.table()
        ours = self.governed([filled(one, REFUSED) for one in programs])
        for program, left, right in zip(programs, native, ours):
            with self.subTest(json.dumps(program)):
                self.assertEqual([shape(step) for step in right], [shape(step) for step in left])
        self.assertEqual(self.table(), rows)
        self.assertNotIn("never_seen_marker", self.world.db.server_log())

    def test_one_ready_for_each_window_and_none_idle_within_a_transaction(self):
        # What came after the last ReadyForQuery that was waited for would be in `rest`.
        rest = {"send": [["X"]], "closed": True}
        for (name, program), steps in zip(
                PROGRAMS.items(),
                self.governed([filled([*one, rest], REFUSED) for one in PROGRAMS.values()])):
            with self.subTest(name):
                self.assertEqual(steps[-1], [["closed", ""]])

    def test_denied_copy(self):
        for sql in ("COPY secrets TO STDOUT", "COPY secrets FROM STDIN",
                    "COPY (SELECT never_seen_column FROM secrets) TO STDOUT"):
            with self.subTest(sql):
                simple, extended = self.governed(
                    [q(sql, "SELECT 1"), [window(*statement(sql)), *q("SELECT 1")]])
                for steps in (simple, extended):
                    self.assertEqual(shape(steps[0]), ["E refused", "Z I"])
                    self.assertEqual(shape(steps[1])[-1], "Z I")
        self.assertNotIn("COPY secrets", self.world.db.server_log())
        self.assertNotIn("SELECT never_seen_column", self.world.db.server_log())

    def test_function_call_is_refused_and_the_session_lives(self):
        steps, = self.governed([[{"send": [["F", 1598]], "ready": 1}, *q("SELECT 1")]])
        self.assertEqual(shape(steps[0]), ["E 0A000", "Z I"])
        self.assertEqual(shape(steps[1])[-1], "Z I")

    def test_too_large_is_refused_and_the_session_lives(self):
        steps, = self.governed(
            [[{"send": [["big", 33 << 20, "DROP TABLE never_seen_marker"]], "ready": 1},
              *q("BEGIN"), {"send": [["big", 33 << 20, "DROP TABLE never_seen_marker"]], "ready": 1},
              *q("COMMIT")]])
        self.assertEqual(shape(steps[0]), ["E 54000", "Z I"])
        self.assertEqual(shape(steps[2]), ["E 54000", "Z E"])
        self.assertEqual(shape(steps[3]), ["C ROLLBACK\0", "Z I"])
        self.assertNotIn("never_seen_marker", self.world.db.server_log())

    def test_malformed_ends_the_session_and_nothing_passes(self):
        cases = {
            "unknown tag": "7a00000004",
            "length below four": "5100000003",
            "query without its end": "510000000853454c45",
            "text behind a NUL": "Q".encode().hex() + "00000012" + b"SELECT\0DROP x\0".hex(),
            "length of two gigabytes": "517fffffff",
            "bind that ends early": "4200000008" + "00000001",
            "startup message again": "0000000800030000",
        }
        for name, steps in zip(cases, self.governed(
                [[{"send": [["raw", message]], "closed": True}] for message in cases.values()])):
            with self.subTest(name):
                got = steps[0]
                self.assertEqual(got[-1], ["closed", ""])
                self.assertEqual(got[0][0], "E", got)
                self.assertEqual(fields(got[0][1])["C"], "08P01")
        log = self.world.db.server_log()
        self.assertNotIn("DROP x", log)

    def test_a_refusal_is_well_worded(self):
        steps, = self.governed([q(REFUSED)])
        got = fields(steps[0][0][1])
        self.assertEqual(got["S"], "ERROR")
        self.assertEqual(got["V"], "ERROR")
        self.assertEqual(got["C"], "42501")
        self.assertIn("no-ddl", got["M"])
        self.assertIn("agents do not change the schema", got["M"])


if __name__ == "__main__":
    unittest.main()
