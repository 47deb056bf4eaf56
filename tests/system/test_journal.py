# SPDX-License-Identifier: Apache-2.0
"""What is recorded: found, replayed, followed, exported, verified; and every alteration is seen."""
import json
import shutil
import subprocess
import threading
import time
import unittest

from harness import BIN, DEADLINE, World, wait_until

WORKLOADS = """apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: billing-agent}
spec: {identity: {subject: 'agent:billing', groups: [agents]}}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: report-agent}
spec: {identity: {subject: 'agent:reports', groups: [agents]}}
"""

POLICY = """apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: rules}
spec:
  rules:
  - id: no-drop
    when: sql.effects.exists(e, e.kind == "drop")
    deny: {reason: "no"}
  - id: pii
    when: sql.text.contains("people")
    mask:
    - {columns: ["public.people.email"], with: redact}
  - id: would-refuse-teapots
    mode: shadow
    when: sql.text.contains("teapot")
    deny: {reason: "I am one"}
  - {id: all, allow: {unknown: true}}
"""

SCHEMA = """CREATE TABLE people (id int, email text);
INSERT INTO people VALUES (1, 'original@behind.mask');"""


class Journal(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World(policy=POLICY, sql=SCHEMA, workload=WORKLOADS)
        cls.world.__enter__()
        cls.addClassCleanup(cls.world.__exit__, None, None, None)
        cls.chaperone = cls.world.chaperone
        world = cls.world
        assert world.psql("SELECT 'apricot tree'").returncode == 0
        assert world.psql(["DROP TABLE people"]).returncode == 1
        assert world.psql("SELECT email FROM people").returncode == 0
        assert world.psql("SELECT 'teapot'", workload="report-agent").returncode == 0

    def found(self, *words):
        return self.chaperone.json("session", "list", *words)["sessions"]

    def journal(self):
        return self.chaperone.root / "var/lib/chaperone/journal"

    def entries(self, *words):
        lines = self.chaperone.ok("journal", "export", "--format", "jsonl", *words).splitlines()
        return [json.loads(line) for line in lines]

    def test_filters(self):
        everything = self.found()
        self.assertGreaterEqual(len(everything), 4)
        starts = [s["startTime"] for s in everything]
        self.assertEqual(starts, sorted(starts, reverse=True))
        self.assertEqual({s["workload"] for s in self.found("--workload", "report-agent")},
                         {"report-agent"})
        self.assertEqual({s["workload"] for s in self.found("--subject", "agent:reports")},
                         {"report-agent"})
        self.assertEqual(self.found("--subject", "nobody"), [])
        self.assertEqual(len(self.found("--resource", "orders")), len(everything))
        self.assertEqual(self.found("--resource", "other"), [])
        for effect, text in (("deny", "DROP TABLE"), ("mask", "email FROM"), ("allow", "apricot")):
            with_effect = self.found("--effect", effect, "--text", text)
            self.assertEqual([s["effect"] for s in with_effect], [effect], effect)
        self.assertEqual(len(self.found("--text", "apricot tree")), 1)
        self.assertEqual(self.found("--text", "apricot email"), [])
        self.assertEqual(len(self.found("--limit", "2")), 2)
        self.assertEqual(self.found("--until", "1h"), [])
        self.assertEqual(len(self.found("--since", "1h")), len(everything))
        self.assertEqual(self.found("--since", "2100-01-01"), [])
        self.assertEqual(self.found("--state", "open"), [])
        self.assertEqual(self.chaperone.cli("session", "list", "--since", "soon").returncode, 2)

    def test_finds_what_shadow_rules_would_have_done(self):
        shadow = self.found("--shadow")
        self.assertEqual([s["workload"] for s in shadow], ["report-agent"])
        self.assertIs(shadow[0]["shadow"], True)
        self.assertEqual(shadow[0]["effect"], "allow")
        replay = self.chaperone.ok("session", "replay", shadow[0]["id"])
        self.assertIn("would-refuse-teapots", replay)

    def test_shows_and_exports_a_session(self):
        one = self.found("--text", "apricot")[0]
        shown = self.chaperone.json("session", "show", one["id"][:20])
        self.assertEqual(shown, one)
        self.assertEqual(shown["destination"]["port"], self.world.db.port)
        self.assertEqual(shown["comm"], "psql")
        self.assertEqual(shown["rows"], 1)
        self.assertIsInstance(shown["rows"], int)
        self.assertEqual(shown["state"], "closed")
        self.assertIn("apricot", self.chaperone.ok("session", "export", one["id"], "--format",
                                                   "text"))
        cast = self.chaperone.ok("session", "export", one["id"]).splitlines()
        self.assertEqual(json.loads(cast[0])["version"], 2)
        for line in cast[1:]:
            self.assertEqual(len(json.loads(line)), 3)
        lines = self.chaperone.ok("session", "export", one["id"], "--format", "jsonl").splitlines()
        kinds = [json.loads(line)["kind"] for line in lines]
        self.assertEqual((kinds[0], kinds[-1]), ("open", "close"))
        entries = self.chaperone.json("session", "replay", one["id"])["entries"]
        self.assertEqual(len(entries), len(lines))
        self.assertEqual(self.chaperone.cli("session", "show", "nothing").returncode, 1)

    def test_follows_live_and_kills(self):
        follow = subprocess.Popen([BIN / "chaperone", "session", "follow", "-o", "json"],
                                  env=self.chaperone.env, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE)
        self.addCleanup(lambda: (follow.kill(), follow.communicate()))
        agent = None
        seen = []
        done = threading.Event()
        reached = threading.Event()

        def read():
            for line in follow.stdout:
                seen.append(json.loads(line))
                if "to-be-ended" in seen[-1].get("statement", ""):
                    reached.set()
                if reached.is_set() and seen[-1]["kind"] == "close":
                    done.set()
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        # Nothing says when the follower is in place: statements are sent until one is seen.
        end = time.monotonic() + DEADLINE
        while not seen and time.monotonic() < end:
            self.world.psql("SELECT 'are you there'")
        agent = self.chaperone.popen_agent(
            ["psql", "-X", "-v", "VERBOSITY=verbose", "-h", "127.0.0.1", "-p",
             self.world.db.port, "-U", "agent", "-d", "shop", "-c",
             "SELECT 'to-be-ended', pg_sleep(60)"], env={"PGSSLMODE": "disable", "PGPASSWORD": "x"})
        self.assertTrue(reached.wait(DEADLINE))
        live = self.found("--state", "open")
        self.assertEqual(len(live), 1)
        self.chaperone.ok("session", "kill", live[0]["id"])
        out, err = agent.communicate(timeout=20)
        self.assertIn("57P01", err)
        running = ("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' "
                   "AND pid <> pg_backend_pid() AND query LIKE '%to-be-ended%'")
        wait_until(lambda: self.world.db.admin(running) == "0", "the statement is cancelled", 20)
        self.assertTrue(done.wait(DEADLINE), seen[-3:])
        shown = self.chaperone.json("session", "show", live[0]["id"])
        self.assertEqual(shown["state"], "closed")
        self.assertEqual(self.chaperone.cli("session", "kill", live[0]["id"]).returncode, 1)

    def test_records_parameters(self):
        script = (
            "import ctypes, ctypes.util\n"
            "pq = ctypes.CDLL('libpq.so.5')\n"
            "pq.PQconnectdb.restype = pq.PQexecParams.restype = ctypes.c_void_p\n"
            "pq.PQgetvalue.restype = ctypes.c_char_p\n"
            f"c = pq.PQconnectdb(b'host=127.0.0.1 port={self.world.db.port} user=agent dbname=shop "
            "password=x sslmode=disable')\n"
            "v = (ctypes.c_char_p * 3)(b'first-parameter', b'second-parameter', None)\n"
            "r = pq.PQexecParams(ctypes.c_void_p(c), b'SELECT $1::text || $2::text, $3::int', 3, None,"
            " v, None, None, 0)\n"
            "print(pq.PQgetvalue(ctypes.c_void_p(r), 0, 0).decode())\n")
        done = self.chaperone.agent(["python3", "-c", script])
        self.assertEqual(done.stdout, "first-parametersecond-parameter\n", done.stderr)
        one = self.found("--text", "SELECT $1 text $3 int")[0]
        events = self.chaperone.json("session", "replay", one["id"])["entries"]
        given = [e["parameters"] for e in events if e.get("parameters")]
        self.assertIn(["first-parameter", "second-parameter", None], given)

    def test_originals_of_masked_values_are_not_kept(self):
        for path in self.journal().parent.rglob("*"):
            if path.is_file():
                self.assertNotIn(b"original@behind.mask", path.read_bytes(), path)
        self.assertNotIn("original@behind.mask", self.chaperone.log())

    def test_exports_in_every_form(self):
        entries = self.entries()
        self.assertGreater(len(entries), 10)
        later = self.entries("--since", "2100-01-01")
        self.assertEqual(later, [])
        for line in self.chaperone.ok("journal", "export", "--format", "ocsf").splitlines():
            event = json.loads(line)
            self.assertIn("class_uid", event)
            self.assertEqual(event["type_uid"], event["class_uid"] * 100 + event["activity_id"])
        cef = self.chaperone.ok("journal", "export", "--format", "cef").splitlines()
        self.assertTrue(cef)
        for line in cef:
            self.assertRegex(line, r"^CEF:[01]\|(([^|\\]|\\.)*\|){6}")
        syslog = self.chaperone.ok("journal", "export", "--format", "syslog").splitlines()
        for line in syslog:
            self.assertRegex(line, r"^<\d+>1 \d{4}-\d\d-\d\dT\S+ \S+ chaperone\w* ")

    def test_simulates_another_bundle_on_what_was_recorded(self):
        bundle = self.chaperone.root / "etc/chaperone/bundle"
        candidate = self.world.folder / "candidate"
        shutil.copytree(bundle, candidate)
        self.addCleanup(shutil.rmtree, candidate)
        policy = candidate / "policy.yaml"
        policy.write_text(policy.read_text().replace("mode: shadow", "mode: enforce"))
        done = self.chaperone.cli("policy", "simulate", candidate, "--since", "1h", "-o", "json")
        self.assertEqual(done.returncode, 1, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual(said["changed"], 1, said)
        change = said["changes"][0]
        self.assertEqual((change["workload"], change["before"], change["after"]),
                         ("report-agent", "allow", "deny"))
        self.assertIn("would-refuse-teapots", change["rule"])
        self.assertEqual(change["examples"], ["SELECT 'teapot'"])
        same = self.chaperone.cli("policy", "simulate", bundle)
        self.assertEqual(same.returncode, 0, same.stdout)
        self.assertIn(" 0 with another answer", same.stdout)

    def test_index_is_made_anew(self):
        before = self.found("--text", "apricot")
        daemon = self.chaperone.daemon
        self.assertEqual(daemon.stop(), 0)
        for path in self.journal().parent.glob("index.db*"):
            path.unlink()
        self.chaperone.start()
        self.assertEqual(self.found("--text", "apricot"), before)

    def test_counts_are_integers(self):
        status = self.chaperone.ok("status", "-o", "json")
        value = json.loads(status)["journalEntries"]
        self.assertIsInstance(value, int)
        for e in self.chaperone.json("session", "replay", self.found("--text", "apricot")[0]["id"])[
                "entries"]:
            for name in ("sequence", "request", "rows", "bytesUp", "bytesDown"):
                self.assertIsInstance(e[name], int, name)

    def test_verifies_and_finds_every_alteration(self):
        self.chaperone.ok("journal", "verify")
        self.assertTrue(self.chaperone.json("journal", "verify")["ok"])
        self.assertEqual(self.chaperone.daemon.stop(), 0)  # so that all is signed
        self.addCleanup(self.chaperone.start)
        copies = self.world.folder / "copies"
        copies.mkdir()
        self.addCleanup(shutil.rmtree, copies)
        segment = max(self.journal().glob("*.seg"), key=lambda p: p.stat().st_size)
        whole = segment.read_bytes()
        entries = list(self.frames(whole))
        self.assertGreater(len(entries), 10)

        def altered(name, data):
            folder = copies / name
            shutil.copytree(self.journal(), folder / "journal")
            shutil.copy(self.journal().parent / "journal.pub", folder)
            (folder / "journal" / segment.name).write_bytes(data)
            done = self.chaperone.cli("journal", "verify", str(folder / "journal"), "-o", "json")
            self.assertEqual(done.returncode, 1, f"{name}: {done.stdout}{done.stderr}")
            said = json.loads(done.stdout)
            self.assertFalse(said["ok"])
            return said["findings"][0]

        begin, end = entries[5]
        flipped = bytearray(whole)
        flipped[(begin + end) // 2] ^= 1
        self.assertEqual(altered("flipped", bytes(flipped)).get("entry"), 5)
        self.assertEqual(altered("removed", whole[:begin] + whole[end:]).get("entry"), 5)
        again, last = entries[6]
        swapped = whole[:begin] + whole[again:last] + whole[begin:end] + whole[last:]
        self.assertEqual(altered("swapped", swapped).get("entry"), 5)
        appended = altered("appended", whole[:entries[-1][1]] + whole[begin:end])
        self.assertEqual(appended.get("entry"), len(entries))
        self.assertIn("message", appended)
        # Cut at an entry's end: what the checkpoint signed is missing.
        altered("cut", whole[:entries[-1][0]])

    @staticmethod
    def frames(data):
        """Where each entry begins and ends: userspace/record/FORMAT.md, "Segment"."""
        count = int.from_bytes(data[20:24], "little")
        at = 24 + 32 * count + 8
        while at < len(data):
            end = at + 12 + int.from_bytes(data[at:at + 4], "little")
            yield at, end
            at = end


if __name__ == "__main__":
    unittest.main()
